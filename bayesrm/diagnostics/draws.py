"""What the checks read of a posterior's tree: draws as one table, and the log densities at them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.chains import INDEPENDENT

SPELLED = {"laplace": "Laplace", "nuts": "NUTS", "svi": "SVI"}


def quantities(tree: xr.DataTree, group: str = "posterior") -> xr.DataArray:
    """Draws of everything in a group, dimensions chain, draw and quantity.

    Raises
    ------
    InvalidInputError
        Where there are no draws in the tree.
    """
    if group not in tree.children or not tree[group].data_vars:
        raise InvalidInputError(
            f"expected a tree with a group {group}, as to_datatree makes it, and there is none"
        )
    columns, names = [], []
    for name, variable in tree[group].data_vars.items():
        values = variable.transpose("chain", "draw", ...).values.astype(np.float64)
        chains, draws = values.shape[:2]
        columns.append(values.reshape(chains, draws, -1))
        names += [str(name) + _subscript(index) for index in np.ndindex(values.shape[2:])]
    table = np.concatenate(columns, axis=2)
    coordinates = {"chain": np.arange(table.shape[0]), "draw": np.arange(table.shape[1]), "quantity": names}
    return xr.DataArray(table, coordinates, ("chain", "draw", "quantity"))


def flat(table: xr.DataArray) -> Float[np.ndarray, "draw quantity"]:
    """The draws of all chains, one chain after another."""
    return table.values.reshape(-1, table.sizes["quantity"])


def log_joint(tree: xr.DataTree) -> Float[np.ndarray, "draw"] | None:
    """The exact log joint density at each draw, in nats; None where the tree does not have it."""
    for name in ("log_p", "lp"):
        values = statistic(tree, name)
        if values is not None:
            return values
    return None


def log_prior(tree: xr.DataTree) -> Float[np.ndarray, "draw"] | None:
    """The log prior density at each draw, in nats; None where the tree does not have it."""
    if "log_prior" not in tree.children:
        return None
    return sum((_total(variable) for variable in tree["log_prior"].data_vars.values()), np.zeros(1))


def log_likelihood(tree: xr.DataTree) -> Float[np.ndarray, "draw"] | None:
    """The log-likelihood of all labels at each draw, with their weights, in nats.

    Of its group; without one, of log joint less log prior, which is the same unless there are nuisance parameters:
    the log joint is a density of the unconstrained ones.
    """
    if "log_likelihood" in tree.children:
        pointwise = tree["log_likelihood"].to_dataset()["outcome"]
        return _total(pointwise * tree["constant_data"].to_dataset()["weight"])
    joint, prior = log_joint(tree), log_prior(tree)
    if joint is None or prior is None or set(tree["posterior"].data_vars) - {"beta", "intercept", "reward"}:
        return None
    return joint - prior


def statistic(tree: xr.DataTree, name: str) -> Float[np.ndarray, "draw"] | None:
    """A variable of ``sample_stats``, chain after chain; None where there is none or nothing in it is finite."""
    stats = tree.children.get("sample_stats")
    if stats is None or name not in stats:
        return None
    values = stats[name].transpose("chain", "draw").values.reshape(-1).astype(np.float64)
    return values if np.isfinite(values).any() else None


def from_chains(tree: xr.DataTree) -> bool:
    """Whether the draws are of Markov chains: several, or with an energy, and not said to be independent."""
    stats = tree.children.get("sample_stats")
    if stats is not None and stats.attrs.get(INDEPENDENT):
        return False
    return tree["posterior"].sizes["chain"] > 1 or (
        stats is not None and bool({"diverging", "energy"} & set(stats.data_vars))
    )


def label(tree: xr.DataTree) -> str:
    """What the draws came from, as a reader knows it."""
    name = str(tree.attrs.get("inference", "given"))
    return SPELLED.get(name, name)


def _total(variable: xr.DataArray) -> Float[np.ndarray, "draw"]:
    values = variable.transpose("chain", "draw", ...).values
    return values.reshape(values.shape[0] * values.shape[1], -1).sum(axis=1)


def _subscript(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
