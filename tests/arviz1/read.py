"""Open the files with arviz 1.x, without torch: summary, loo, compare and a plot."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import arviz as az
import matplotlib
import xarray as xr

matplotlib.use("Agg")


def main(folder: Path) -> None:
    """Fail where a file does not open or loo differs from what the writer's arviz said."""
    assert int(az.__version__.split(".")[0]) >= 1, az.__version__
    expected = json.loads((folder / "expected.json").read_text())
    # Few labels on several features: single labels are influential, and ArviZ says so.
    warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto", UserWarning)
    tree = xr.open_datatree(folder / "run.nc", engine="h5netcdf")
    summary = az.summary(tree, kind="stats")
    assert len(summary) == tree["posterior"].sizes["feature"], summary
    loo = az.loo(tree, reff=1.0)
    # The two lines smooth the tails of importance weights differently, by about 1e-3 here.
    assert abs(loo.elpd - expected["elpd"]) < 0.01 * loo.se, (loo.elpd, expected["elpd"])
    az.plot_dist(tree)
    laplace = xr.open_datatree(folder / "laplace.nc", engine="h5netcdf")
    az.compare({"run": tree, "again": tree})
    az.loo(laplace)
    assert xr.open_datatree(folder / "plugin.nc", engine="h5netcdf")["posterior"].sizes["draw"] == 1
    elpd = f"{loo.elpd:.4f}, written as {expected['elpd']:.4f}"
    print(f"arviz {az.__version__}: summary, loo ({elpd}), compare and plot_dist work.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
