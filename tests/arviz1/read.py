"""Open the files with arviz 1.x, without torch: summary, loo, compare and a plot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import arviz as az
import matplotlib
import xarray as xr

matplotlib.use("Agg")


def main(folder: Path) -> None:
    """Fail where a file does not open or loo differs from what the writer's arviz said."""
    assert int(az.__version__.split(".")[0]) >= 1, az.__version__
    expected = json.loads((folder / "expected.json").read_text())
    tree = xr.open_datatree(folder / "run.nc", engine="h5netcdf")
    summary = az.summary(tree, kind="stats")
    assert len(summary) == tree["posterior"].sizes["feature"], summary
    loo = az.loo(tree)
    assert abs(loo.elpd - expected["elpd"]) < 1e-6, (loo.elpd, expected["elpd"])
    az.plot_dist(tree)
    laplace = xr.open_datatree(folder / "laplace.nc", engine="h5netcdf")
    az.compare({"run": tree, "again": tree})
    az.loo(laplace)
    assert xr.open_datatree(folder / "plugin.nc", engine="h5netcdf")["posterior"].sizes["draw"] == 1
    print(f"arviz {az.__version__}: summary, loo ({loo.elpd:.6f}, as written), compare and plot_dist work.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
