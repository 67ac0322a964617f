r"""Several simulated annotators: each pair goes to one of them at random, and who answered is on record.

    P(a prefers the first) = ε + (1 − 2ε) sigmoid(T_a (g_first − g_second)),   log T_a ~ Normal(log T, s²),

with ε the probability that an answer is flipped, T the temperature (a slope, as of
:class:`~bayesrm.annotators.golden.GoldenAnnotator`) and s the spread between annotators.
"""

from __future__ import annotations

import operator
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from scipy.special import expit

from bayesrm import rng
from bayesrm.annotators.golden import GoldenAnnotator
from bayesrm.errors import InvalidInputError
from bayesrm.types import Pairs, Preferences


class Crowd(GoldenAnnotator):
    """Annotators of different temperature, who flip answers.

    Parameters
    ----------
    golden, temperature, seed
        As of GoldenAnnotator; the temperature is that of the typical annotator.
    flip
        Probability that an answer is flipped, below ½.
    annotators
        How many there are.
    spread
        Standard deviation of the logarithm of their temperature.

    Raises
    ------
    InvalidInputError
        Where one of these is out of range.
    """

    name: ClassVar[str] = "crowd"

    def __init__(
        self,
        golden: ArrayLike,
        temperature: float = 1.0,
        seed: int = 0,
        flip: float = 0.0,
        annotators: int = 1,
        spread: float = 0.0,
    ) -> None:
        super().__init__(golden, temperature, seed)
        if not 0 <= flip < 0.5:
            raise InvalidInputError(f"expected a flip probability of at least 0 and below 0.5, got {flip}")
        if not 0 <= spread < np.inf:
            raise InvalidInputError(f"expected a finite spread of at least 0, got {spread}")
        self.flip, self.annotators, self.spread = float(flip), operator.index(annotators), float(spread)
        if self.annotators < 1:
            raise InvalidInputError(f"expected at least one annotator, got {annotators}")
        deviation = rng.stream(self.seed, "annotators").standard_normal(self.annotators)
        self.temperatures: Float[np.ndarray, "annotator"] = self.temperature * np.exp(self.spread * deviation)

    def answer_probability(self, pairs: Pairs, annotator: Int64[np.ndarray, "pair"]) -> Float[np.ndarray, "pair"]:
        """The probability that this annotator says that the first is preferred."""
        difference = self.golden_difference(pairs)
        return np.asarray(self.flip + (1 - 2 * self.flip) * expit(self.temperatures[annotator] * difference))

    def _answers(self, pairs: Pairs, generator: np.random.Generator) -> Preferences:
        annotator = generator.integers(self.annotators, size=len(pairs.first))
        answers = generator.random(len(pairs.first)) < self.answer_probability(pairs, annotator)
        return Preferences(pairs.first, pairs.second, answers.astype(np.float64), annotator=annotator)

    def _rankers(
        self, count: int, generator: np.random.Generator
    ) -> tuple[Int64[np.ndarray, "list"] | None, Float[np.ndarray, "list"]]:
        if self.flip > 0:
            raise InvalidInputError(
                f"expected a crowd that flips no answers for lists, as a ranking is not flipped, got flip={self.flip}"
            )
        annotator = generator.integers(self.annotators, size=count)
        return annotator, self.temperatures[annotator]

    def describe(self) -> dict[str, Any]:
        """Those of GoldenAnnotator, and how many annotators there are, of which spread and flip probability."""
        return super().describe() | {"flip": self.flip, "annotators": self.annotators, "spread": self.spread}
