"""Open the files with arviz 1.x, without torch: summary, loo, compare, sensitivity, plots."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import arviz as az
import matplotlib
import numpy as np
import xarray as xr

matplotlib.use("Agg")
import matplotlib.pyplot as plt

GROUPS = {
    "posterior", "prior", "log_prior", "sample_stats", "posterior_predictive", "observed_data", "constant_data",
    "approximation", "log_likelihood",
}  # fmt: skip
LAST_LAYER = ("run", "campaign", "laplace", "svi", "nuts")
"""Whose prior is all in the file: that of networks is mostly one of weights that are not in it."""
CHAINS = {"plugin": 1, "nuts": 2, "mc-dropout": 1}
"""Of those that do not come in four."""
PRECISION = 1e-6


def main(folder: Path) -> None:
    """Fail where a file does not open, or loo differs from what the writer's arviz said."""
    assert int(az.__version__.split(".")[0]) >= 1, az.__version__
    expected = json.loads((folder / "expected.json").read_text())
    warnings.simplefilter("error")
    # Few labels on several features: single labels are influential, and ArviZ says so.
    warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto", UserWarning)
    warnings.filterwarnings(
        "ignore", "Variables outcome in|num_samples is larger|Your data appears to have a single", UserWarning
    )
    for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
        warnings.simplefilter("ignore", category)  # news between the libraries below
    trees = {path.stem: xr.open_datatree(path, engine="h5netcdf") for path in sorted(folder.glob("*.nc"))}
    scores, differences = {}, []
    for name, tree in trees.items():
        assert set(tree.children) - {"trajectory", "selection"} == GROUPS, (name, set(tree.children))
        assert name in ("run", "campaign", tree.attrs["inference"]), (name, tree.attrs["inference"])
        chains = tree["posterior"].sizes["chain"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            summary = az.summary(tree, kind="all" if chains > 1 else "stats")
        assert chains == CHAINS.get(name, 4), (name, chains)
        assert chains == 1 or summary["r_hat"].astype(float).max() < 1.2, (name, summary)
        sizes = [variable.size for variable in tree["posterior"].data_vars.values()]
        assert len(summary) == sum(sizes) // (chains * tree["posterior"].sizes["draw"]), (name, summary)
        if name in expected:
            scores[name] = az.loo(tree, pointwise=True, reff=1.0)
            differences.append(difference(scores[name], expected[name]))
            assert differences[-1] < PRECISION, (name, differences[-1])
            plots(tree, binary=len(np.unique(tree["posterior_predictive"]["outcome"])) == 2)
        if name in LAST_LAYER:
            psense = az.psense_summary(tree)
            assert np.isfinite(psense[["prior", "likelihood"]].to_numpy(float)).all(), (name, psense)
    ranking = az.compare({name: scores[name] for name in ("laplace", "svi", "nuts")})
    assert set(ranking.index) == {"laplace", "svi", "nuts"}, ranking
    print(
        f"arviz {az.__version__}: summary, loo, compare, psense_summary and plots of {', '.join(trees)} work; "
        f"loo differs from the writer's by at most {max(differences):.1e}."
    )


def difference(found: az.ELPDData, expected: dict[str, Any]) -> float:
    """The largest difference in the elpd or Pareto k̂ of a label that is not tied, or in the standard error."""
    tied = np.array(expected["tied"])
    assert tied.mean() < 0.1, tied
    own = {"elpd": found.elpd_i.values, "pareto_k": found.pareto_k.values}
    differences = [np.abs(own[name] - np.array(expected[name]))[~tied].max() for name in own]
    return float(max(*differences, abs(found.se - expected["se"])))


def plots(tree: xr.DataTree, binary: bool) -> None:
    """Draw what a reader of a posterior draws."""
    az.plot_dist(tree)
    az.plot_trace(tree)
    az.plot_forest(tree)
    (az.plot_ppc_pava if binary else az.plot_ppc_dist)(tree)
    az.plot_prior_posterior(tree)
    az.plot_loo_pit(tree)
    plt.close("all")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
