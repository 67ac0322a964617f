r"""How far an approximate posterior lies from a reference, such as long NUTS, on the same data.

By quantity, with the reference's mean and sd: (m − m_ref) / s_ref and s / s_ref. Over all quantities at once: the
sliced Wasserstein distance, the mean over random unit directions of the distance ∫|F⁻¹ − G⁻¹| between projections, each
in units of the reference's sd along it. Two halves of the reference have a distance too; that is the floor.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesrm import rng
from bayesrm.diagnostics.arviz_lines import effective_draws
from bayesrm.diagnostics.draws import flat, label, quantities
from bayesrm.diagnostics.finding import Finding
from bayesrm.errors import InvalidInputError

DIRECTIONS = 200
QUANTILES = 200
MEAN_TOLERANCE, SCALE_TOLERANCE = 0.15, 0.10


def distance(tree: xr.DataTree, reference: xr.DataTree, seed: int = 0) -> Finding:
    """Compare two posteriors of the same quantities.

    Parameters
    ----------
    tree, reference
        Trees with a group ``posterior``; the reference has draws enough to be believed.
    seed
        Of the directions.

    Returns
    -------
    Finding
        By quantity ``mean_shift`` and ``sd_ratio`` with their Monte Carlo standard errors ``shift_error`` and
        ``ratio_error``; scalars ``sliced_wasserstein`` and ``sliced_wasserstein_floor``.

    Raises
    ------
    InvalidInputError
        Where the two have other quantities, or one has a single draw.
    """
    table, other = quantities(tree), quantities(reference)
    if list(table["quantity"].values) != list(other["quantity"].values):
        raise InvalidInputError(
            f"expected two posteriors of the same quantities, got {table.sizes['quantity']} and "
            f"{other.sizes['quantity']} of them: were both fitted with the same features?"
        )
    draws, exact = flat(table), flat(other)
    if min(len(draws), len(exact)) < 4:
        raise InvalidInputError(
            f"expected two posteriors with draws, got {len(draws)} and {len(exact)}: a point has no distance in sds"
        )
    mean, sd = exact.mean(axis=0), exact.std(axis=0, ddof=1)
    counts = np.stack([_effective(table), _effective(other)])
    ratio = draws.std(axis=0, ddof=1) / sd
    generator = rng.stream(seed, "directions")
    directions = generator.standard_normal((draws.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    data = xr.Dataset(
        {
            "mean_shift": ("quantity", (draws.mean(axis=0) - mean) / sd),
            "sd_ratio": ("quantity", ratio),
            "shift_error": ("quantity", np.sqrt(ratio**2 / counts[0] + 1 / counts[1])),
            "ratio_error": ("quantity", ratio * np.sqrt((1 / (2 * counts)).sum(axis=0))),
            "sliced_wasserstein": sliced_wasserstein(draws, exact, directions),
            "sliced_wasserstein_floor": sliced_wasserstein(exact[::2], exact[1::2], directions),
        },
        {"quantity": table["quantity"].values},
    )
    shift = float(np.abs(data["mean_shift"]).mean())
    scale = float(np.abs(data["sd_ratio"] - 1).mean())
    sliced, floor = float(data["sliced_wasserstein"]), float(data["sliced_wasserstein_floor"])
    near = "close to" if shift < MEAN_TOLERANCE and scale < SCALE_TOLERANCE else "far from"
    return Finding(
        "distance",
        "good" if near == "close to" else "bad",
        f"The {label(tree)} posterior is {near} the reference ({label(reference)}): means differ by {shift:.2f} sd and "
        f"sds by {scale:.0%} on average, sliced Wasserstein distance {sliced:.3f} sd (halves of the reference: "
        f"{floor:.3f}).",
        data,
    )


def sliced_wasserstein(
    draws: Float[np.ndarray, "draw quantity"],
    exact: Float[np.ndarray, "sample quantity"],
    directions: Float[np.ndarray, "quantity direction"],
) -> float:
    """Mean over directions of the Wasserstein-1 distance, in sds of ``exact`` along each."""
    level = (np.arange(QUANTILES) + 0.5) / QUANTILES
    projected, reference = draws @ directions, exact @ directions
    gap = np.abs(np.quantile(projected, level, axis=0) - np.quantile(reference, level, axis=0)).mean(axis=0)
    return float((gap / reference.std(axis=0, ddof=1)).mean())


def _effective(table: xr.DataArray) -> Float[np.ndarray, "quantity"]:
    """Effective draws by quantity, at most as many as there are; of a handful of draws, all."""
    total = float(table.sizes["chain"] * table.sizes["draw"])
    columns = table.transpose("quantity", "chain", "draw").values
    estimates = np.array([effective_draws(column) for column in columns])
    return np.where(np.isfinite(estimates), np.minimum(estimates, total), total)
