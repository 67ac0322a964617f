"""Directions that the features of a pool really have."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from bayesrm.diagnostics.checks.base import Canvas, Check, Subject
from bayesrm.diagnostics.feature_rank import feature_rank
from bayesrm.diagnostics.finding import Finding
from bayesrm.posteriors.last_layer import LastLayerPosterior


class FeatureRank(Check):
    """How many directions the features of the pool really have; needs the posterior of a last layer."""

    name: ClassVar[str] = "feature_rank"
    order: ClassVar[int] = 50
    title: ClassVar[str] = "Directions of the features"
    caption: ClassVar[str] = "Eigenvalues of the covariance of the pool's features."

    def run(self, subject: Subject) -> Finding | None:
        """Where features are the same for all draws."""
        posterior = subject.posterior
        return feature_rank(posterior, posterior.pool) if isinstance(posterior, LastLayerPosterior) else None

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:
        """Eigenvalues of the features' covariance, as shares."""
        axis = canvas.axes()
        value = data["eigenvalue"].values
        share = value / max(value.sum(), np.finfo(float).tiny)
        axis.plot(np.arange(1, len(share) + 1), share, color=canvas.blue, marker="o", markersize=3)
        rank = float(data["entropy_rank"])
        axis.axvline(rank, color=canvas.red, linestyle="--", label="effective rank, by entropy")
        axis.set(xlabel="direction", ylabel="share of the variance")
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, fontsize=8)
