"""A last-layer posterior as an ``xarray.DataTree`` in ArviZ's schema, for arviz 0.23 and 1.x alike.

Draws of an approximation come with ``log_p`` (exact log joint density) and ``log_q`` (its own log density), from
which Pareto k̂ follows; there is one chain, so r_hat does not exist: ask ``az.summary(..., kind="stats")``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.versions import versions

if TYPE_CHECKING:
    from bayesrm.posteriors.last_layer import LastLayerPosterior


def last_layer_tree(posterior: LastLayerPosterior, draws: int, seed: int, log_likelihood: bool) -> xr.DataTree:
    """See :meth:`LastLayerPosterior.to_datatree`."""
    point = posterior.covariance_factor.shape[1] == 0
    beta, log_q = posterior.sample_last_layer(1 if point else draws, rng.stream(seed, "posterior draws"))
    by_comparison = _log_likelihood(posterior, beta)
    preferences = posterior.preferences
    weight = np.ones(len(preferences)) if preferences.weight is None else preferences.weight
    log_prior = 0.5 * (
        torch.log(posterior.prior_precision / (2 * np.pi)).sum()
        - (posterior.prior_precision * beta.square()).sum(dim=1)
    )
    log_p = (by_comparison * torch.from_numpy(weight).to(beta.device)).sum(dim=1) + log_prior

    draw_axes = {"chain": [0], "draw": np.arange(len(beta))}
    feature = {"feature": np.arange(beta.shape[1])}
    comparison = {"comparison": np.arange(len(preferences))}
    groups = {
        "posterior": dataset({"beta": (("chain", "draw", "feature"), _chain(beta))}, draw_axes | feature),
        "sample_stats": dataset(
            {
                "lp": (("chain", "draw"), _chain(log_p)),
                "log_p": (("chain", "draw"), _chain(log_p)),
                "log_q": (("chain", "draw"), _chain(log_q)),
            },
            draw_axes,
        ),
        "approximation": dataset(
            {
                "location": (("feature",), posterior.location.cpu().numpy()),
                "scale_tril": (("feature", "factor"), _scale_tril(posterior.covariance_factor)),
                "information": (("feature", "factor"), _information(posterior)),
            },
            feature | {"factor": np.arange(beta.shape[1])},
        ),
        "observed_data": dataset({"outcome": (("comparison",), preferences.outcome)}, comparison),
        "constant_data": dataset(
            {
                "first": (("comparison",), preferences.first),
                "second": (("comparison",), preferences.second),
                "weight": (("comparison",), weight),
                "prior_precision": (("feature",), posterior.prior_precision.cpu().numpy()),
            },
            comparison | feature,
        ),
    }
    if preferences.annotator is not None:
        annotator = np.asarray(preferences.annotator).astype(str)
        groups["constant_data"]["annotator"] = (("comparison",), annotator)
    if log_likelihood:
        groups["log_likelihood"] = dataset(
            {"outcome": (("chain", "draw", "comparison"), _chain(by_comparison))}, draw_axes | comparison
        )
    for group in groups.values():
        group.attrs.update(provenance())
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(
        provenance()
        | {
            "inference": type(posterior).__name__,
            "model": json.dumps(posterior.model.describe(), sort_keys=True),
            "posterior_seed": seed,
            "log_evidence": float(posterior.log_evidence),
        }
    )
    return tree


def dataset(variables: dict[str, Any], coordinates: dict[str, Any]) -> xr.Dataset:
    """A dataset in which every dimension has a coordinate, as both lines of ArviZ need."""
    return xr.Dataset(variables, coords=coordinates)


def provenance() -> dict[str, str]:
    """What made a file: the library and, as JSON, the versions of what it stands on."""
    return {"inference_library": "bayesrm", "versions": json.dumps(versions(), sort_keys=True)}


def _log_likelihood(
    posterior: LastLayerPosterior, beta: Float[Tensor, "draw feature"]
) -> Float[Tensor, "draw comparison"]:
    preferences = posterior.preferences
    used, local = np.unique(np.concatenate([preferences.first, preferences.second]), return_inverse=True)
    rewards = beta @ posterior.features(posterior.pool, used.astype(np.int64)).T
    k = len(preferences)
    logit = rewards[:, torch.from_numpy(local[:k])] - rewards[:, torch.from_numpy(local[k:])]
    outcome = torch.from_numpy(preferences.outcome).to(logit.device).expand_as(logit)
    return posterior.likelihood.log_prob(logit, outcome)


def _chain(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()[None]


def _scale_tril(factor: Float[Tensor, "feature rank"]) -> np.ndarray:
    """The lower-triangular T with T Tᵀ = C Cᵀ: R of a QR of Cᵀ, transposed; zeros for a point."""
    if factor.shape[1] == 0:
        return np.zeros((factor.shape[0], factor.shape[0]))
    _, upper = torch.linalg.qr(factor.T)
    return (upper * upper.diagonal().sign()[:, None]).T.cpu().numpy()


def _information(posterior: LastLayerPosterior) -> np.ndarray:
    cholesky = posterior.information_cholesky
    return (cholesky @ cholesky.T).cpu().numpy()
