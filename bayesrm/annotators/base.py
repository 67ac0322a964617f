"""What an annotator is: whoever or whatever answers comparisons."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.types import Pairs, Preferences
from bayesrm.utils.checked import Natural, checked


@runtime_checkable
class SupportsLabel(Protocol):
    """The least that can answer: anything with ``label``."""

    def label(self, pairs: Pairs) -> Preferences: ...  # noqa: D102


class Annotator(ABC):
    """Answers comparisons.

    Attributes
    ----------
    name : str
        What it is asked for by: ``bayesrm run --annotator NAME``.

    See Also
    --------
    GoldenAnnotator : One that answers from golden rewards.
    ReplayAnnotator : One that answers with recorded votes.

    Notes
    -----
    In a simulated run it is made of what the run knows: each argument of the class gets what is called so, of
    ``golden`` rewards, ``temperature``, ``flip``, ``annotators``, ``spread`` and ``seed``; others need defaults.

    Examples
    --------
    A new annotator: one who does not look closely, and says that both are equal where the rewards are close.

    >>> import numpy as np
    >>> import bayesrm as brm
    >>> class Glancing(brm.GoldenAnnotator):
    ...     '''Prefers the better response, and says that both are equal where the golden rewards are close.'''
    ...     name = "glancing"
    ...     def __init__(self, golden, close=0.5):
    ...         super().__init__(golden)
    ...         self.close = close
    ...     def label(self, pairs):
    ...         difference = self.golden_difference(pairs)
    ...         outcome = np.where(np.abs(difference) < self.close, 0.5, (difference > 0).astype(float))
    ...         return brm.Preferences(pairs.first, pairs.second, outcome)
    ...     def describe(self):
    ...         return super().describe() | {"close": self.close}
    >>> Glancing([0.0, 0.1, 3.0]).label(brm.Comparisons([0, 0], [1, 2])).outcome
    array([0.5, 0. ])
    """

    name: ClassVar[str]

    @classmethod
    def made_of(cls, known: Mapping[str, Any]) -> Annotator:
        """The annotator, each argument by its name from what is known.

        Raises
        ------
        InvalidInputError
            Where an argument without a default is not among what is known.
        """
        arguments = signature(cls).parameters.values()
        missing = [each.name for each in arguments if each.default is each.empty and each.name not in known]
        if missing:
            raise InvalidInputError(
                f"the annotator {cls.name!r} needs {' and '.join(missing)}, and a simulated run has "
                f"{', '.join(known)}: make it in Python and give it to bayesrm.run"
            )
        return cls(**{each.name: known[each.name] for each in arguments if each.name in known})

    @abstractmethod
    def label(self, pairs: Pairs) -> Preferences:
        """Answer each pair, in order; one who ranks takes lists too."""

    def at_round(self, round_index: int) -> Annotator:
        """The annotator whose answers depend on the round only, so that a resumed run hears the same ones.

        An annotator that draws at random overrides this; others are the same in every round.
        """
        return self

    def describe(self) -> dict[str, Any]:
        """The settings that its answers depend on, as JSON-able values."""
        return {"annotator": type(self).__name__}


class SeededAnnotator(Annotator):
    """Answers at random: a stream of draws for each call, or for the round it was told of."""

    seed: int
    _calls = 0
    _round: int | None = None

    def _generator(self) -> np.random.Generator:
        if self._round is not None:
            return rng.stream(self.seed, "round", self._round)
        self._calls += 1
        return rng.stream(self.seed, "call", self._calls - 1)

    @checked
    def at_round(self, round_index: Natural) -> SeededAnnotator:
        """Draws that depend on the seed and the round only."""
        annotator = copy.copy(self)
        annotator._round = round_index
        return annotator
