r"""How many directions the features of a pool really have.

With λ the eigenvalues of the features' covariance, the participation ratio (Σλ)² / Σλ² and the exponential of the
entropy of λ / Σλ (Roy & Vetterli 2007) both are d for a round cloud and 1 for a line; the numerical rank counts
directions that are there at all. Comparisons between responses are about differences, so features are centred.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesrm.diagnostics.finding import Finding
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import ResponsePool

MAX_RESPONSES = 20_000
RELATIVE_ZERO = 1e-10
"""An eigenvalue below this part of the largest is one of rounding: features are computed in float32."""
COLLAPSED = 0.1


def spectrum(features: Float[np.ndarray, "response feature"]) -> xr.Dataset:
    """Eigenvalues, descending, and the three ranks."""
    centred = features - features.mean(axis=0)
    eigenvalue = np.linalg.eigvalsh(centred.T @ centred / max(1, len(features) - 1))[::-1].clip(min=0.0)
    total = eigenvalue.sum()
    share = eigenvalue[eigenvalue > 0] / total
    return xr.Dataset(
        {
            "eigenvalue": ("direction", eigenvalue.copy()),
            "participation_ratio": total**2 / (eigenvalue**2).sum() if total > 0 else 0.0,
            "entropy_rank": float(np.exp(-(share * np.log(share)).sum())) if total > 0 else 0.0,
            "numerical_rank": int((eigenvalue > RELATIVE_ZERO * eigenvalue[0]).sum()) if total > 0 else 0,
        },
        {"direction": np.arange(len(eigenvalue))},
    )


def feature_rank(posterior: LastLayerPosterior, pool: ResponsePool) -> Finding:
    """The ranks of the features of a pool, of which evenly spaced responses stand for a large one."""
    index = np.linspace(0, len(pool) - 1, min(len(pool), MAX_RESPONSES)).round().astype(np.int64)
    data = spectrum(posterior.features(pool, index).cpu().numpy())
    d = data.sizes["direction"]
    participation, entropy, numerical = (
        float(data[name]) for name in ("participation_ratio", "entropy_rank", "numerical_rank")
    )
    figures = f"participation ratio {participation:.1f}, by entropy {entropy:.1f}, numerically {numerical:.0f}"
    collapsed = entropy < COLLAPSED * d
    tail = ": they have collapsed to few directions" if collapsed else ""
    return Finding(
        "feature_rank",
        "note" if collapsed else "good",
        f"The {d} features of {len(pool)} responses have an effective rank of {entropy:.1f} ({figures}){tail}.",
        data,
    )
