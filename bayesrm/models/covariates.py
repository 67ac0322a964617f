"""Covariates as features of the last layer: standardised by the pool, clipped, linear.

They stand beside the features of the encoder, whichever it is, so every inference and every design has them. A
covariate that is far out, such as the length of an answer of a million characters, is taken for one of :data:`LIMIT`
standard deviations: no single response can then decide what its weight is.

Covariates that share a prior scale are standardised within prompts and turned onto the axes V of their covariance
within prompts V diag(λ) Vᵀ, each scaled by λ^½, as embeddings are: length, words and lines are one direction then with
most of the prior variance, and eight covariates with a few labels do as well as length alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from bayesrm.data.covariates import LENGTHS
from bayesrm.errors import InvalidInputError
from bayesrm.models.robust import usual_range
from bayesrm.types import ResponsePool
from bayesrm.utils.grouped import less_group_means
from bayesrm.utils.remembered import remembered

LENGTH = "length"
"""What stands for all of :data:`~bayesrm.data.covariates.LENGTHS`."""
LIMIT = 5.0
"""Standard deviations that a covariate counts for at most."""
TOGETHER = "covariates"
"""The name of the block of covariates that share a prior scale."""


class CovariateFeatures(nn.Module):
    """The columns of a pool's covariates in the last layer.

    Parameters
    ----------
    names
        Which covariates, in this order.
    prior_mean
        Name → prior mean of its weight, in logits per standard deviation of the covariate; 0 where there is none. A
        covariate with a prior mean, such as the score of a judge, has a prior scale of its own.
    apart
        Whether each covariate has a prior scale of its own, and not one for all.

    Raises
    ------
    InvalidInputError
        Where a prior mean is for no covariate or not finite.
    """

    mean: Tensor
    inverse_scale: Tensor
    lower: Tensor
    upper: Tensor
    axes: Tensor
    location: Tensor

    def __init__(
        self, names: Sequence[str], prior_mean: Mapping[str, float] | None = None, apart: bool = False
    ) -> None:
        super().__init__()
        self.names, self.apart, self.prior_mean = tuple(names), apart, dict(prior_mean or {})
        strange = [name for name in self.prior_mean if name not in self.names]
        if strange:
            raise InvalidInputError(
                f"expected prior means of the covariates {', '.join(self.names) or '(none)'}, got one of {strange[0]!r}"
            )
        if not all(math.isfinite(value) for value in self.prior_mean.values()):
            raise InvalidInputError(f"expected finite prior means, got {self.prior_mean}")
        count = len(self.names)
        self.register_buffer("mean", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("inverse_scale", torch.ones(count, dtype=torch.float64))
        self.register_buffer("lower", torch.full((count,), -math.inf, dtype=torch.float64))
        self.register_buffer("upper", torch.full((count,), math.inf, dtype=torch.float64))
        self.register_buffer("axes", torch.eye(count, dtype=torch.float64))
        self.register_buffer(
            "location", torch.tensor([self.prior_mean.get(name, 0.0) for name in self.names], dtype=torch.float64)
        )

    def __len__(self) -> int:
        return len(self.names)

    def blocks(self, start: int) -> dict[str, slice]:
        """Blocks with a prior scale each, of columns that begin at ``start``."""
        single = [self.apart or name in self.prior_mean for name in self.names]
        blocks: dict[str, slice] = {}
        for at, (name, alone) in enumerate(zip(self.names, single, strict=True), start):
            if alone or TOGETHER not in blocks:
                blocks[name if alone else TOGETHER] = slice(at, at + 1)
            else:
                blocks[TOGETHER] = slice(blocks[TOGETHER].start, at + 1)
        return blocks

    def fit(self, pool: ResponsePool) -> None:
        """Take statistics and axes from the pool; a constant covariate is dead, and zero on new data too."""
        if len(self.names) == 0:
            return
        for name, value in remembered(
            pool, ("covariates", self.names, self.apart), lambda: self._statistics(pool)
        ):
            getattr(self, name).copy_(torch.from_numpy(value))

    def _statistics(self, pool: ResponsePool) -> list[tuple[str, np.ndarray]]:
        values = pool.covariate_rows(self.names, np.arange(len(pool)))
        lower, upper = usual_range(values)
        values = np.clip(values, lower, upper)
        mean, sd = values.mean(axis=0), values.std(axis=0)
        dead = sd <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
        shared = self.blocks(0).get(TOGETHER, slice(0, 0))
        within = less_group_means(values, pool.group)
        freedom = len(pool) - pool.n_prompts
        if freedom > 0:
            own = np.sqrt((within**2).sum(axis=0) / freedom)
            known = own > 1e-9 * np.maximum(sd, 1e-30)
            sd[shared] = np.where(known, own, sd)[shared]
        inverse = np.where(dead, 0.0, 1.0 / np.where(dead, 1.0, sd))
        axes = np.eye(len(self.names))
        if freedom > 0 and shared.stop - shared.start > 1:
            standardised = np.clip(within * inverse, -LIMIT, LIMIT)[:, shared]
            eigenvalues, rotation = np.linalg.eigh(standardised.T @ standardised / freedom)
            top = np.abs(rotation).argmax(axis=0)
            rotation = rotation * np.sign(rotation[top, np.arange(len(top))])
            axes[shared, shared] = rotation * np.sqrt(np.maximum(eigenvalues, 0.0))
        return [("mean", mean), ("inverse_scale", inverse), ("lower", lower), ("upper", upper), ("axes", axes)]

    def of(self, pool: ResponsePool, index: Int64[np.ndarray, "response"]) -> Float[Tensor, "response covariate"]:
        """The columns of some responses, float64."""
        return self(torch.from_numpy(pool.covariate_rows(self.names, index)).to(self.mean.device))

    def chosen(self, names: Sequence[str]) -> tuple[str, ...]:
        """Covariates by name, "length" standing for all that say how long a text is.

        Raises
        ------
        InvalidInputError
            Where one is none of these.
        """
        if isinstance(names, str):
            raise InvalidInputError(f"expected a sequence of names of covariates, got the text {names!r}")
        lengths = [name for name in LENGTHS if name in self.names]
        found: list[str] = []
        for name in names:
            own = lengths if name == LENGTH else [name]
            if not own or own[0] not in self.names:
                raise InvalidInputError(
                    f"expected covariates that the model has, got {name!r}, and it has "
                    f"{', '.join(self.names) or 'none'}"
                )
            found += own
        return tuple(dict.fromkeys(found))

    def forward(
        self, values: Float[Tensor, "response covariate"], held: Sequence[int] = ()
    ) -> Float[Tensor, "response covariate"]:
        """Clip, standardise, and turn onto the axes; covariates at the positions ``held`` are at the pool's mean."""
        usual = torch.maximum(torch.minimum(values, self.upper), self.lower)
        standardised: Tensor = ((usual - self.mean) * self.inverse_scale).clamp(-LIMIT, LIMIT)
        standardised[:, list(held)] = 0.0
        return standardised @ self.axes


def ordered(names: Sequence[str], prior_mean: Mapping[str, float] | None) -> tuple[str, ...]:
    """The names with those that have a prior mean last, so that those that share a scale are one block."""
    given = prior_mean or {}
    return tuple(sorted(dict.fromkeys(names), key=lambda name: name in given))
