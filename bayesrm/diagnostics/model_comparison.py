r"""Which model of the same labels to believe: log evidence, and how well each predicts labels left out (PSIS-LOO).

    elpd = Σ_k log p(y_k | all other labels) ≈ Σ_k log 1 / E[1 / p(y_k | θ)]

over posterior draws θ, with importance weights 1/p smoothed by a Pareto distribution whose shape k̂ says where that can
not be trusted (Vehtari, Gelman, Gabry 2017). Weights are those of stacking: the mixture of the models that predicts
best (Yao et al. 2018). Both as ArviZ has them. The evidence asks how well a model predicted the labels from its prior
on, which also judges the prior; the two agree where there are many labels.

A label of weight v counts as v equal answers that are left out together; of rankings each choice is left out as a
whole. Draws of an approximation are taken as those of the posterior: look at its own Pareto k̂
(:func:`~bayesrm.diagnostics.diagnose`) first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from bayesrm.diagnostics.arviz_lines import leave_one_out, stacking_weights
from bayesrm.diagnostics.draws import from_chains
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.utils.checked import Count, Seed, checked

SAME = ("first", "second", "weight", "choice")
"""What two posteriors of the same labels have in common, beside the outcomes."""


@checked
def compare(
    posteriors: Mapping[str, RewardPosterior | xr.DataTree], draws: Count = 1024, seed: Seed = 0
) -> pd.DataFrame:
    """Compare encoders, prior scales, likelihoods or inferences by evidence and by leave-one-out prediction.

    Parameters
    ----------
    posteriors : mapping of str to RewardPosterior or DataTree
        Name → posterior, of the same labels; also trees, as ``to_datatree(log_likelihood=True)`` makes them and
        ``run(..., log_likelihood=True)`` leaves on disk.
    draws : int, default 1024
        Posterior draws where the posterior is not a tree.
    seed : int, default 0
        Root of the draws.

    Returns
    -------
    DataFrame
        One row a name, what predicts best first. ``log_evidence``: in nats, of Laplace; of variational inference it
        is the ELBO, which is below it; NaN for others. ``elpd_loo`` with standard error ``se``; ``difference`` from
        the first row, 0 or less, with ``difference_se``, paired by label. ``p_loo``: effective number of parameters.
        ``weight``: of stacking. ``worst_k``: the largest Pareto k̂ of a label; above 0.7 do not trust ``elpd_loo``.

    Raises
    ------
    InvalidInputError
        Where there are fewer than two, they are not of the same labels, or these are soft and not of the same outcomes:
        half a label of a model without ties is not the probability of a tie.
    CapabilityError
        Where one has no draws to leave labels out of, as a point.

    See Also
    --------
    diagnose : How far to trust one posterior.

    Examples
    --------
    >>> wide = brm.fit(brm.RewardModel(pool.dim, "linear", prior_scale=1.0), pool, prefs)
    >>> table = brm.compare({"prior scale by evidence": posterior, "prior scale 1": wide}, draws=200)
    >>> table.index[0]
    'prior scale by evidence'
    """
    if len(posteriors) < 2:
        raise InvalidInputError(f"expected at least two posteriors to compare, got {len(posteriors)}")
    trees = {name: _tree(name, posterior, draws, seed) for name, posterior in posteriors.items()}
    _require_same_labels(trees)
    scores = {
        name: leave_one_out(_left_out(tree), independent=not from_chains(tree)) for name, tree in trees.items()
    }
    weights = stacking_weights(scores)
    best = max(scores, key=lambda name: scores[name].elpd)
    rows = {}
    for name, score in scores.items():
        behind = score.pointwise - scores[best].pointwise
        rows[name] = {
            "log_evidence": float(trees[name].attrs.get("log_evidence", np.nan)),
            "elpd_loo": score.elpd,
            "se": _error(score.pointwise),
            "difference": float(behind.sum()),
            "difference_se": _error(behind),
            "p_loo": score.parameters,
            "weight": weights[name],
            "worst_k": float(score.k.max()),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.sort_values("elpd_loo", ascending=False, kind="stable")


def _tree(name: str, posterior: RewardPosterior | xr.DataTree, draws: int, seed: int) -> xr.DataTree:
    if isinstance(posterior, RewardPosterior):
        if "spread" not in posterior.provides:
            raise CapabilityError(
                f"leaving labels out needs draws of a posterior, and {name} ({posterior.inference}) is a point: fit it "
                "with inference='laplace'"
            )
        return posterior.to_datatree(draws, seed, log_likelihood=True)
    if "log_likelihood" not in posterior.children:
        raise InvalidInputError(
            f"expected a tree with a group log_likelihood, and {name} has none: make it with "
            "to_datatree(log_likelihood=True)"
        )
    if posterior["posterior"].sizes["draw"] < 2:
        raise CapabilityError(f"leaving labels out needs draws of a posterior, and {name} has one")
    return posterior


def _require_same_labels(trees: Mapping[str, xr.DataTree]) -> None:
    (first, reference), *others = ((name, _labels(tree)) for name, tree in trees.items())
    outcome = reference["outcome"]
    if len(outcome) < 2:
        raise InvalidInputError(f"expected at least two labels to leave out one by one, got {len(outcome)}")
    for name, labels in others:
        if labels.keys() != reference.keys() or any(
            not np.array_equal(labels[key], reference[key]) for key in labels
        ):
            raise InvalidInputError(
                f"expected posteriors of the same labels, and those of {first} ({len(outcome)}) and {name} "
                f"({len(labels['outcome'])}) differ: fit both to the same preferences"
            )
    if not np.isin(outcome, (0, 1)).all() and len({_with_ties(tree) for tree in trees.values()}) > 1:
        raise InvalidInputError(
            "expected likelihoods of the same outcomes, and some of these have ties and some have not, with labels "
            "between 0 and 1: to the others a tie is half a label, whose density is no probability of a tie"
        )


def _labels(tree: xr.DataTree) -> dict[str, np.ndarray]:
    constant = tree["constant_data"].to_dataset()
    labels = {key: constant[key].values for key in SAME if key in constant}
    return labels | {"outcome": tree["observed_data"].to_dataset()["outcome"].values}


def _with_ties(tree: xr.DataTree) -> bool:
    return bool((tree["posterior_predictive"].to_dataset()["outcome"] == 0.5).any())


def _left_out(tree: xr.DataTree) -> xr.DataTree:
    """The groups that leave-one-out reads: labels of weight v to the power of v, rows of one choice together."""
    pointwise = tree["log_likelihood"].to_dataset()["outcome"].transpose("chain", "draw", "comparison")
    labels = _labels(tree)
    values = pointwise.values * labels["weight"]
    if "choice" in labels:
        order = np.argsort(labels["choice"], kind="stable")
        _, start = np.unique(labels["choice"][order], return_index=True)
        values = np.add.reduceat(values[..., order], start, axis=-1)
    axes = {name: pointwise[name].values for name in ("chain", "draw")}
    powered = xr.Dataset({"outcome": (("chain", "draw", "comparison"), values)}, axes)
    return xr.DataTree.from_dict({"posterior": tree["posterior"].to_dataset(), "log_likelihood": powered})


def _error(values: Float[np.ndarray, "comparison"]) -> float:
    """Standard error of a sum."""
    return float(np.sqrt(len(values)) * values.std(ddof=1))
