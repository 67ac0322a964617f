r"""Coordinates of embeddings, scaled by how much the responses to one prompt vary along them.

With x standardised embeddings and C = Σ_n (x_n − x̄_prompt)(x_n − x̄_prompt)ᵀ / (n − P) = V diag(λ) Vᵀ their
covariance within prompts, the coordinates are

    f = c · diag(λ^{a/2}) Vᵀ x.

A prior that is the same for every weight of f then says of x: β ~ Normal(0, σ² C^a). Preferences are about responses
to the same prompt, so rewards are expected to change along the directions in which such responses differ; what only
prompts differ in cannot matter, and an isotropic prior spends most of its freedom there. No label is needed for it.
The power a is chosen by evidence (:mod:`bayesrm.inference.spectrum_power`); a = 0 is a rotation, which changes nothing
for a linear reward.
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
"""Where there are too few labels to choose."""


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
        """Scale by λ^{a/2}, with c such that Σ_j E f_j² = p for responses to one prompt."""
        weight = self.eigenvalues**power
        share = self.eigenvalues * weight
        self.power = float(power)
        self.scale.copy_((weight * len(share) / share.sum()).sqrt())
        remaining = 1 - (share / share.sum()).cumsum(dim=0)
        self.kept = int((remaining > NEGLIGIBLE).sum()) + 1

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response embedding"]:
        """Rotate and scale."""
        return (x @ self.rotation) * self.scale


class Leading(nn.Module):
    """The first ``width`` coordinates: linear features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """Take them."""
        return x[..., : self.width]
