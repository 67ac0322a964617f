"""A last-layer posterior as an ``xarray.DataTree`` in ArviZ's schema, for arviz 0.23 and 1.x alike.

Draws of an approximation come with ``log_p`` (exact log joint density) and ``log_q`` (its own log density), from
which Pareto k̂ follows; there is one chain, so r_hat does not exist: ask ``az.summary(..., kind="stats")``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from bayesrm.types import Preferences
from bayesrm.versions import versions


@dataclass(frozen=True)
class LastLayerDraws:
    """Draws of β with all that ArviZ's groups are made of.

    Parameters
    ----------
    preferences
        The labelled comparisons.
    beta
        (draw, feature) draws.
    log_q
        (draw,) their log density under the approximation that they come from, nats.
    log_likelihood
        (draw, comparison) log p(y_k | β), without weights, nats.
    prior_precision
        (feature,) diagonal of the prior's precision.
    location, covariance_factor, information
        (feature,), (feature, rank) and (feature, feature): the approximation itself.
    """

    preferences: Preferences
    beta: Float[Tensor, "draw feature"]
    log_q: Float[Tensor, "draw"]
    log_likelihood: Float[Tensor, "draw comparison"]
    prior_precision: Float[Tensor, "feature"]
    location: Float[Tensor, "feature"]
    covariance_factor: Float[Tensor, "feature rank"]
    information: Float[Tensor, "feature feature"]

    def tree(self, log_likelihood: bool, attributes: dict[str, Any]) -> xr.DataTree:
        """The groups, with the log-likelihood of each comparison and draw if asked for."""
        preferences, beta = self.preferences, self.beta
        weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
        log_prior = 0.5 * (
            torch.log(self.prior_precision / (2 * np.pi)).sum() - (self.prior_precision * beta.square()).sum(dim=1)
        )
        log_p = (self.log_likelihood * torch.from_numpy(weight).to(beta.device)).sum(dim=1) + log_prior

        draw_axes = {"chain": [0], "draw": np.arange(len(beta))}
        feature = {"feature": np.arange(beta.shape[1])}
        comparison = {"comparison": np.arange(len(preferences))}
        by_draw, by_feature, by_comparison = ("chain", "draw"), ("feature",), ("comparison",)
        groups = {
            "posterior": dataset({"beta": ((*by_draw, "feature"), _chain(beta))}, draw_axes | feature),
            "sample_stats": dataset(
                {
                    "lp": (by_draw, _chain(log_p)),
                    "log_p": (by_draw, _chain(log_p)),
                    "log_q": (by_draw, _chain(self.log_q)),
                },
                draw_axes,
            ),
            "approximation": dataset(
                {
                    "location": (by_feature, self.location.cpu().numpy()),
                    "scale_tril": (("feature", "factor"), _scale_tril(self.covariance_factor)),
                    "information": (("feature", "factor"), self.information.cpu().numpy()),
                },
                feature | {"factor": np.arange(beta.shape[1])},
            ),
            "observed_data": dataset({"outcome": (by_comparison, preferences.outcome)}, comparison),
            "constant_data": dataset(
                {
                    "first": (by_comparison, preferences.first),
                    "second": (by_comparison, preferences.second),
                    "weight": (by_comparison, weight),
                    "prior_precision": (by_feature, self.prior_precision.cpu().numpy()),
                },
                comparison | feature,
            ),
        }
        if preferences.annotator is not None:
            groups["constant_data"]["annotator"] = (by_comparison, np.asarray(preferences.annotator).astype(str))
        if log_likelihood:
            groups["log_likelihood"] = dataset(
                {"outcome": ((*by_draw, "comparison"), _chain(self.log_likelihood))}, draw_axes | comparison
            )
        for group in groups.values():
            group.attrs.update(provenance())
        tree = xr.DataTree.from_dict(groups)
        tree.attrs.update(provenance() | attributes)
        return tree


def dataset(variables: dict[str, Any], coordinates: dict[str, Any]) -> xr.Dataset:
    """A dataset in which every dimension has a coordinate, as both lines of ArviZ need."""
    return xr.Dataset(variables, coords=coordinates)


def provenance() -> dict[str, str]:
    """What made a file: the library and, as JSON, the versions of what it stands on."""
    return {"inference_library": "bayesrm", "versions": json.dumps(versions(), sort_keys=True)}


def _chain(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()[None]


def _scale_tril(factor: Float[Tensor, "feature rank"]) -> np.ndarray:
    """The lower-triangular T with T Tᵀ = C Cᵀ: R of a QR of Cᵀ, transposed; zeros for a point."""
    if factor.shape[1] == 0:
        return np.zeros((factor.shape[0], factor.shape[0]))
    _, upper = torch.linalg.qr(factor.T)
    return (upper * upper.diagonal().sign()[:, None]).T.cpu().numpy()
