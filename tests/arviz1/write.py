"""Write a run's results and bare posteriors, and what az.loo says of them here."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

import bayesrm as brm
from bayesrm.results import write_results

warnings.filterwarnings("ignore")


def main(folder: Path) -> None:
    """Into ``folder``: run.nc, laplace.nc, plugin.nc and expected.json."""
    import arviz as az

    random = np.random.default_rng(0)
    embeddings = random.standard_normal((120, 6)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(20), 6))
    golden = embeddings @ random.standard_normal(6)
    annotator = brm.GoldenAnnotator(golden, seed=0)
    model = brm.RewardModel(6, "linear")
    tree = brm.run(
        pool, annotator, (pool, golden), model, design="pa-dopt", batch_size=20, rounds=3, log_likelihood=True
    )
    write_results(tree, folder / "run.nc")
    prefs = annotator.label(brm.candidates(pool, size=80))
    for inference in ("laplace", "plugin"):
        posterior = brm.fit(model, pool, prefs, inference)
        write_results(posterior.to_datatree(log_likelihood=True), folder / f"{inference}.nc")
    data = tree if int(az.__version__.split(".")[0]) >= 1 else az.InferenceData.from_datatree(tree)
    loo = az.loo(data, reff=1.0)  # independent draws: the two lines estimate another default from one chain
    expected = {"elpd": float(getattr(loo, "elpd", None) or loo["elpd_loo"])}
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
