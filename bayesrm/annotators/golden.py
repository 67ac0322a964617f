"""A simulated annotator: Bradley–Terry preferences, and Plackett–Luce rankings, drawn from golden rewards.

A ranking is that of temperature · g plus Gumbel noise, which has the probabilities of Plackett and Luce (Yellott 1977);
of two responses it is the Bradley–Terry preference.
"""

from __future__ import annotations

import hashlib
import math
import operator
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from scipy.special import expit

from bayesrm.annotators.base import SeededAnnotator
from bayesrm.errors import InvalidInputError
from bayesrm.types import Lists, Pairs, Preferences, as_lists
from bayesrm.utils.arrays import as_numbers
from bayesrm.utils.checked import Seed, checked

ANSWERS = ("ranking", "best", "best-and-worst")
"""What can be said of a list."""


class GoldenAnnotator(SeededAnnotator):
    """Prefers the first with probability sigmoid(temperature · (g_first − g_second)), and ranks lists likewise.

    Parameters
    ----------
    golden : array_like
        (response,) golden rewards of the pool's responses.
    temperature : float, default 1.0
        Slope of the preference probability, above 0; the larger, the fewer answers go against the golden reward.
    seed : int, default 0
        Root of the draws. Asked again, it answers with fresh draws; the same calls give the same answers.

    Raises
    ------
    InvalidInputError
        Where a golden reward is not finite or the temperature not above 0.

    See Also
    --------
    run : Simulates a whole campaign with an annotator.
    evaluate : Holds a posterior against the same golden rewards.

    Examples
    --------
    >>> answers = brm.GoldenAnnotator(golden, temperature=2.0, seed=1).label(brm.candidates(pool, size=50))
    >>> sorted(set(answers.outcome.tolist()))
    [0.0, 1.0]
    >>> len(brm.GoldenAnnotator(golden).rank([[0, 1, 2], [5, 6, 7]]))  # two rankings of three, each of three rows
    6
    """

    name: ClassVar[str] = "golden"

    @checked
    def __init__(self, golden: ArrayLike, temperature: float = 1.0, seed: Seed = 0) -> None:
        self.golden: Float[np.ndarray, "response"] = as_numbers("golden rewards", golden)
        if self.golden.ndim != 1 or not np.isfinite(self.golden).all():
            raise InvalidInputError(
                f"expected one finite golden reward a response, got an array of shape {self.golden.shape} "
                f"with {int((~np.isfinite(self.golden)).sum())} values that are not finite"
            )
        if not 0 < temperature < math.inf:
            raise InvalidInputError(f"expected a finite temperature above 0, got {temperature}")
        self.temperature = float(temperature)
        self.seed = operator.index(seed)

    @checked
    def golden_difference(self, pairs: Pairs) -> Float[np.ndarray, "pair"]:
        """Golden reward of the first less that of the second."""
        self._require_known(pairs.first, pairs.second)
        return np.asarray(self.golden[pairs.first] - self.golden[pairs.second])

    @checked
    def probability(self, pairs: Pairs) -> Float[np.ndarray, "pair"]:
        """The probability that the first is preferred."""
        return np.asarray(expit(self.temperature * self.golden_difference(pairs)))

    @checked
    def label(self, pairs: Pairs | Lists) -> Preferences:
        """Draw an answer to each pair, or a ranking of each list."""
        if isinstance(pairs, Lists) and not isinstance(pairs, Pairs):
            return self.rank(pairs.lists)
        return self._answers(pairs, self._generator())

    @checked
    def rank(self, lists: ArrayLike, answer: str = "ranking") -> Preferences:
        """Draw a ranking of each list, or only say which is the best, or which the best and the worst.

        Parameters
        ----------
        lists : (list, member) array_like of int
            Responses to be ranked, a row a list.
        answer : {"ranking", "best", "best-and-worst"}
            What is said of it.

        Returns
        -------
        Preferences
            As of :meth:`Preferences.from_rankings`: a ranking of K is K (K − 1) / 2 rows.

        Raises
        ------
        InvalidInputError
            Where a row repeats a response, or one has no golden reward.
        """
        if answer not in ANSWERS:
            raise InvalidInputError(
                f"expected answer to be {', '.join(ANSWERS[:-1])} or {ANSWERS[-1]}, got {answer!r}"
            )
        shown, generator = as_lists(lists), self._generator()
        self._require_known(shown.ravel())
        annotator, temperature = self._rankers(len(shown), generator)
        utility = temperature[:, None] * self.golden[shown] + generator.gumbel(size=shown.shape)
        order = np.take_along_axis(shown, np.argsort(-utility, axis=1, kind="stable"), axis=1)
        if answer == "ranking":
            return Preferences.from_rankings(list(order), annotator=annotator)
        worst = order[:, -1].tolist() if answer == "best-and-worst" else None
        return Preferences.from_rankings(list(order[:, :1]), annotator=annotator, lists=list(shown), worst=worst)

    def _rankers(
        self, count: int, generator: np.random.Generator
    ) -> tuple[Int64[np.ndarray, "list"] | None, Float[np.ndarray, "list"]]:
        """Who ranks each list, where that is on record, and at which temperature."""
        return None, np.full(count, self.temperature)

    def _require_known(self, *responses: Int64[np.ndarray, "_"]) -> None:
        for index in responses:
            if len(index) and index.max() >= len(self.golden):
                raise InvalidInputError(
                    f"expected pairs of the {len(self.golden)} responses that have a golden reward, "
                    f"got response {index.max()}: do pool and golden rewards belong together?"
                )

    def _answers(self, pairs: Pairs, generator: np.random.Generator) -> Preferences:
        answers = generator.random(len(pairs.first)) < self.probability(pairs)
        return Preferences(pairs.first, pairs.second, answers.astype(np.float64))

    def describe(self) -> dict[str, Any]:
        """Temperature, seed and a digest of the golden rewards."""
        return super().describe() | {
            "temperature": self.temperature,
            "seed": self.seed,
            "golden_sha256": hashlib.sha256(self.golden.tobytes()).hexdigest(),
        }
