"""Write a run's results, the posterior of every inference and a campaign's, and what az.loo says of them here."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import bayesrm as brm
from bayesrm.campaign.rounds import POSTERIOR_FILE, fit_round
from bayesrm.inference.bnn import BayesianNetwork
from bayesrm.inference.ensemble import Ensemble
from bayesrm.inference.mc_dropout import MCDropout
from bayesrm.inference.nuts import Nuts
from bayesrm.runs.results import write_results

warnings.filterwarnings("ignore")

LAST_LAYER = ("plugin", "laplace", "svi", Nuts(chains=2, draws=512, warmup=200))
NETWORKS = (Ensemble(members=40), MCDropout(rate=0.3, draws=100), BayesianNetwork(draws=100))
DRAWS = 1024
"""As of networks a multiple of five and of others a square: with other numbers of draws the two lines smooth tails of
different lengths, see :mod:`bayesrm.posteriors.datatree`."""


def main(folder: Path) -> None:
    """Into ``folder``: run.nc, campaign.nc, a file for each inference, and expected.json."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((120, 6)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(20), 6))
    golden = embeddings @ random.standard_normal(6)
    annotator = brm.GoldenAnnotator(golden, seed=0)
    prefs = annotator.label(brm.candidates(pool, prompts=None, size=80))
    linear = brm.RewardModel(6, "linear", likelihood="davidson", prompt_intercept=True)
    network = brm.RewardModel(6, hidden=(16, 16))
    trees = {
        "run": brm.run(
            pool, annotator, (pool, golden), brm.RewardModel(6, "linear"), design="pa-dopt", batch_size=20, rounds=3,
            draws=DRAWS, log_likelihood=True,
        )
    }  # fmt: skip
    for model, inferences in ((linear, LAST_LAYER), (network, NETWORKS)):
        for inference in inferences:
            tree = brm.fit(model, pool, prefs, inference).to_datatree(
                DRAWS, log_likelihood=True, responses=range(5)
            )
            trees[tree.attrs["inference"]] = tree
    for name, tree in trees.items():
        write_results(tree, folder / f"{name}.nc")
    trees["campaign"] = of_a_campaign(folder / "campaign.nc", pool, annotator)
    expected = {name: loo(tree) for name, tree in trees.items() if name != "plugin"}
    (folder / "expected.json").write_text(json.dumps(expected))


def of_a_campaign(path: Path, pool: brm.ResponsePool, annotator: brm.GoldenAnnotator) -> xr.DataTree:
    """The file of a campaign whose sheet came back, as it is."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        texts = [f"Response {number}" for number in range(len(pool))]
        brm.save_pool(folder / "pool", brm.ResponsePool(pool.embeddings, pool.prompt, texts))
        campaign = brm.Campaign.create(folder / "campaign", folder / "pool")
        questions = campaign.ask(60)
        left = brm.Comparisons([one.left for one in questions], [one.right for one in questions])
        sides = np.where(annotator.label(left).outcome == 1, "left", "right")
        rows = [f"{one.id},{side},ana" for one, side in zip(questions, sides, strict=True)]
        (folder / "sheet.csv").write_text("\n".join(["question,answer,annotator", *rows]))
        campaign.tell(folder / "sheet.csv")
        fit_round(campaign)
        shutil.copy(campaign.directory / POSTERIOR_FILE, path)
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()


def loo(tree: xr.DataTree) -> dict[str, Any]:
    """What this environment's arviz finds; its 0.23 divides by n where 1.x divides by n − 1 in the standard error.

    The two lines count a draw at which a tail begins in or out where it is there twice, as draws of NUTS are that
    stayed where they were: such labels are told.
    """
    import arviz as az

    legacy = az.__version__.startswith("0.")
    found = az.loo(az.InferenceData.from_datatree(tree) if legacy else tree, pointwise=True, reff=1.0)
    n = tree["observed_data"].sizes["comparison"]
    return {
        "elpd": (found.loo_i if legacy else found.elpd_i).values.tolist(),
        "se": float(found.se) * (np.sqrt(n / (n - 1)) if legacy else 1.0),
        "pareto_k": found.pareto_k.values.tolist(),
        "tied": tied(tree).tolist(),
    }


def tied(tree: xr.DataTree) -> np.ndarray:
    """(comparison,) whether the draw at which the tail of the importance weights begins is there twice."""
    log_likelihood = tree["log_likelihood"]["outcome"].stack(draws=("chain", "draw")).values
    ascending, draws = np.sort(log_likelihood, axis=-1), log_likelihood.shape[-1]
    tail = int(np.ceil(min(0.2 * draws, 3 * draws**0.5)))
    return ascending[:, tail - 1] == ascending[:, tail]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
