"""A simulated annotator: Bradley–Terry preferences drawn from golden rewards."""

from __future__ import annotations

import hashlib
import math
import operator
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit

from bayesrm.annotators.base import SeededAnnotator
from bayesrm.errors import InvalidInputError
from bayesrm.types import Pairs, Preferences


class GoldenAnnotator(SeededAnnotator):
    """Prefers the first with probability sigmoid(temperature · (g_first − g_second)).

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
    """

    name: ClassVar[str] = "golden"

    def __init__(self, golden: ArrayLike, temperature: float = 1.0, seed: int = 0) -> None:
        self.golden: Float[np.ndarray, "response"] = np.asarray(golden, dtype=np.float64)
        if self.golden.ndim != 1 or not np.isfinite(self.golden).all():
            raise InvalidInputError(
                f"expected one finite golden reward a response, got an array of shape {self.golden.shape} "
                f"with {int((~np.isfinite(self.golden)).sum())} values that are not finite"
            )
        if not 0 < temperature < math.inf:
            raise InvalidInputError(f"expected a finite temperature above 0, got {temperature}")
        self.temperature = float(temperature)
        self.seed = operator.index(seed)

    def golden_difference(self, pairs: Pairs) -> Float[np.ndarray, "pair"]:
        """Golden reward of the first less that of the second."""
        for name in ("first", "second"):
            index = getattr(pairs, name)
            if len(index) and index.max() >= len(self.golden):
                raise InvalidInputError(
                    f"expected pairs of the {len(self.golden)} responses that have a golden reward, "
                    f"got response {index.max()}: do pool and golden rewards belong together?"
                )
        return np.asarray(self.golden[pairs.first] - self.golden[pairs.second])

    def probability(self, pairs: Pairs) -> Float[np.ndarray, "pair"]:
        """The probability that the first is preferred."""
        return np.asarray(expit(self.temperature * self.golden_difference(pairs)))

    def label(self, pairs: Pairs) -> Preferences:
        """Draw an answer to each pair."""
        return self._answers(pairs, self._generator())

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
