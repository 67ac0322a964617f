"""A distribution over a few known numbers, for outcomes that are more than preferred or not."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint


class FiniteOutcomes(TorchDistribution):
    """Takes the k-th of some values with the k-th of some probabilities.

    Parameters
    ----------
    values
        The numbers, ascending: (0, ½, 1) for answers that may be ties.
    log_probs
        (*batch, outcome) their log-probabilities, normalised.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012
    support = constraints.unit_interval
    has_enumerate_support = True

    def __init__(self, values: tuple[float, ...], log_probs: Float[Tensor, "*batch outcome"]) -> None:
        self.values, self.log_probs = values, log_probs
        super().__init__(log_probs.shape[:-1], validate_args=False)

    def log_prob(self, value: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Of one of the values; a number between two takes the expectation over them."""
        share = shares(value, self.values)
        # Where a share is zero its log-probability may be −∞.
        return torch.where(share > 0, share * self.log_probs, 0.0).sum(dim=-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws from torch's generator, as Pyro does."""
        index = torch.distributions.Categorical(logits=self.log_probs).sample(torch.Size(sample_shape))
        return self.log_probs.new_tensor(self.values)[index]

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The values along a new first axis."""
        values = self.log_probs.new_tensor(self.values).reshape(-1, *[1] * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same for a larger batch."""
        return FiniteOutcomes(self.values, self.log_probs.expand(*batch_shape, len(self.values)))


def shares(outcome: Float[Tensor, "*batch"], values: tuple[float, ...]) -> Float[Tensor, "*batch outcome"]:
    """How much of a soft label belongs to each value: linear between neighbours, so that its mean is kept."""
    parts = []
    for k, value in enumerate(values):
        share = torch.ones_like(outcome)
        if k > 0:
            share = torch.minimum(share, (outcome - values[k - 1]) / (value - values[k - 1]))
        if k + 1 < len(values):
            share = torch.minimum(share, (values[k + 1] - outcome) / (values[k + 1] - value))
        parts.append(share.clamp(min=0.0))
    return torch.stack(parts, dim=-1)
