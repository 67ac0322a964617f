"""The sampled form of the paper's selector: without replacement, with odds proportional to the gradients.

Drawn by exponential clocks (Efraimidis & Spirakis 2006): the pairs with the largest log g + Gumbel noise.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from bayesrm.design.base import Selector
from bayesrm.design.candidates import CandidateSet, PairIndex
from bayesrm.design.objectives import Objective
from bayesrm.design.ranking import top


class GradientSample(Selector):
    """Sampled with odds proportional to the paper's gradients."""

    name: ClassVar[str] = "gradient-sample"

    def choose(
        self, objective: Objective, candidates: CandidateSet, size: int, generator: np.random.Generator
    ) -> PairIndex:
        """Rank by log ∂f/∂w + Gumbel noise."""
        gradient = objective.gradient(candidates)

        def keys(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            log_gradient = gradient(first, second).clamp(min=1e-300).log()
            return log_gradient + torch.from_numpy(generator.gumbel(size=len(first))).to(log_gradient)

        return top(candidates, keys, size, generator)
