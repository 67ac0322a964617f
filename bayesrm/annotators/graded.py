"""A simulated annotator who says how much better: grades drawn from golden rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from bayesrm.annotators.golden import GoldenAnnotator
from bayesrm.models.likelihoods.graded import Graded
from bayesrm.types import Pairs, Preferences


class GradedAnnotator(GoldenAnnotator):
    """Answers on a symmetric scale of grades, by the cumulative logit of temperature · (g_first − g_second).

    Parameters
    ----------
    golden, temperature, seed
        As of GoldenAnnotator.
    grades, thresholds
        As of :class:`~bayesrm.models.likelihoods.graded.Graded`.
    """

    name: ClassVar[str] = "graded"

    def __init__(
        self,
        golden: ArrayLike,
        temperature: float = 1.0,
        seed: int = 0,
        grades: int = 7,
        thresholds: Sequence[float] | None = None,
    ) -> None:
        super().__init__(golden, temperature, seed)
        self.scale = Graded(grades, thresholds)

    def _answers(self, pairs: Pairs, generator: np.random.Generator) -> Preferences:
        logit = torch.from_numpy(self.temperature * self.golden_difference(pairs))
        return Preferences(pairs.first, pairs.second, self.scale.simulate(logit, generator).numpy())

    def describe(self) -> dict[str, Any]:
        """Those of GoldenAnnotator, and the scale."""
        return super().describe() | {"grades": self.scale.grades, "thresholds": self.scale.above.tolist()}
