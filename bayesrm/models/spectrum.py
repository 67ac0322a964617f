r"""Embeddings scaled by how much the responses to one prompt vary along each direction.

With x standardised embeddings and C = Σ_n (x_n − x̄_prompt)(x_n − x̄_prompt)ᵀ / (n − P) = V diag(λ) Vᵀ their
covariance within prompts, linear features are the leading coordinates of

    f = c · diag(λ^{a/2}) Vᵀ x.

A prior that is the same for every weight of f then says of x: β ~ Normal(0, σ² C^a). Preferences are about
responses to the same prompt, so rewards are expected to change along the directions in which such responses differ;
what only prompts differ in cannot matter, and an isotropic prior spends most of its freedom there. No label is
needed for it. The power a is chosen by evidence (:mod:`bayesrm.inference.fitting.linear_part`); a = 0 is a
rotation, which changes nothing for a linear reward.

A network sees V diag(λ^{a/4}) Vᵀ x: half the power, as it learns a scale of its own, and turned back, as it trains
more easily on mixed coordinates than on very unequal ones.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.types import ResponsePool

SPECTRUM_ROWS = 16_384
"""Responses, in whole prompts, that the covariance of a larger pool is taken from."""
NEGLIGIBLE = 1e-3
"""Trailing directions that together hold less than this part of the prior variance of a reward are left out of linear
features."""
DEFAULT_POWER = 2.0
"""Until labels clearly say otherwise."""


class WithinPromptSpectrum(nn.Module):
    """The map x ↦ f; the identity where no prompt has two responses.

    Parameters
    ----------
    dim
        The dimension p of an embedding.
    """

    rotation: Tensor
    eigenvalues: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("rotation", torch.eye(dim))
        self.register_buffer("eigenvalues", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dim))
        self.power = 0.0
        self.kept = dim
        self._directions = self.rotation

    @property
    def informative(self) -> bool:
        """Whether there was any variation within prompts to learn from."""
        return bool((self.eigenvalues != self.eigenvalues[0]).any())

    def fit(self, pool: ResponsePool, standardize: nn.Module) -> None:
        """Take V and λ from the pool, or from evenly spaced prompts of a large one."""
        dim = pool.dim
        total = torch.zeros((dim, dim), dtype=torch.float64)
        freedom = 0
        members = [member for member in pool.members if len(member) > 1]
        keep = max(1, int(len(members) * min(1.0, SPECTRUM_ROWS / max(1, sum(map(len, members))))))
        for at in np.linspace(0, len(members) - 1, keep).round().astype(int) if members else ():
            rows = standardize(torch.from_numpy(pool.rows(members[at])).to(self.rotation.device))
            centred = (rows - rows.mean(dim=0)).double().cpu()
            total += centred.T @ centred
            freedom += len(rows) - 1
        if freedom == 0 or float(total.diagonal().max()) <= 0.0:
            return
        eigenvalues, rotation = torch.linalg.eigh(total / freedom)
        # The sign of an eigenvector is free; fix it, so that every machine has the same features.
        top = rotation.abs().argmax(dim=0)
        sign = rotation[top, torch.arange(dim)].sign()
        self.rotation.copy_((rotation * sign).flip(1))
        self.eigenvalues.copy_(eigenvalues.flip(0).clamp(min=1e-12 * float(eigenvalues[-1])))

    def set_power(self, power: float) -> None:
        """Scale by λ^{a/2} for linear features, by λ^{a/4} for a network."""
        share = self.eigenvalues ** (1 + power)
        self.power = float(power)
        self.scale.copy_(self._scale(power / 2))
        remaining = 1 - (share / share.sum()).cumsum(dim=0)
        self.kept = int((remaining > NEGLIGIBLE).sum()) + 1
        self._directions = self.rotation[:, : self.kept] * (self._scale(power) / self.scale)[: self.kept].to(
            self.rotation
        )

    @property
    def directions(self) -> Float[Tensor, "embedding kept"]:
        """From what :meth:`forward` returns to linear features."""
        return self._directions

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response embedding"]:
        """Scale along V and turn back."""
        return ((x @ self.rotation) * self.scale) @ self.rotation.T

    def _scale(self, power: float) -> Tensor:
        """λ^{a/2}, with a constant such that responses to one prompt keep their mean square."""
        weight = self.eigenvalues**power
        return (weight * self.eigenvalues.sum() / (self.eigenvalues * weight).sum()).sqrt()


class Leading(nn.Module):
    """Linear features: the inputs, or their coordinates along some directions."""

    directions: Tensor | None

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("directions", None)

    @property
    def width(self) -> int:
        """The number of features."""
        return self.dim if self.directions is None else int(self.directions.shape[1])

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """Project."""
        return x if self.directions is None else x @ self.directions
