"""The last layer on a real pool: every inference on the same labels, and the approximations against long NUTS.

    python tests/benchmarks/posteriors_table.py POOL
    python tests/benchmarks/posteriors_table.py POOL --labels 250 --scope cross-prompt --seed 1

POOL is a folder with the pool directories ``pool`` and ``test``. A linear encoder on the first principal components of
the embeddings of ``pool``, random pairs, an annotator of temperature 2, prior scales by evidence. The first table
scores the posteriors on the prompts of ``test``; below it each is held against the plug-in, which is maximum
likelihood, by the difference of their log losses, paired by prompt, with its standard error over prompts. The second
says how far an approximation is from NUTS: means in posterior sds, sds as a ratio, over the components, and Pareto k̂.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import bayesrm as brm
from bayesrm.diagnostics.importance import pareto_k
from bayesrm.evaluation.metrics import PROBABILITY_FLOOR, Predictions, predict, scores
from bayesrm.inference.nuts import Nuts
from bayesrm.posteriors.draws import DrawsPosterior
from bayesrm.posteriors.gaussian import GaussianPosterior

INFERENCES = ("plugin", "laplace", "svi", "nuts", "ensemble")
TEMPERATURE = 2.0
DRAWS = 4096
"""Of an approximation, for Pareto k̂."""


def principal_components(
    pool: brm.ResponsePool, test: brm.ResponsePool, count: int
) -> tuple[brm.ResponsePool, brm.ResponsePool]:
    """Both pools on the first principal axes of the first one."""
    embeddings, others = (each.rows(np.arange(len(each))).astype(np.float64) for each in (pool, test))
    centre = embeddings.mean(axis=0)
    axes = np.linalg.svd(embeddings - centre, full_matrices=False)[2][:count]
    return (
        brm.ResponsePool((embeddings - centre) @ axes.T, pool.prompt),
        brm.ResponsePool((others - centre) @ axes.T, test.prompt),
    )


def log_loss_by_prompt(predicted: Predictions) -> np.ndarray:
    """Mean over the pairs of each prompt; prompts of one response have none."""
    p = np.clip(predicted.probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    q, prompt = predicted.golden_probability, predicted.group[predicted.first]
    loss, pairs = np.bincount(prompt, -q * np.log(p) - (1 - q) * np.log1p(-p)), np.bincount(prompt)
    return loss[pairs > 0] / pairs[pairs > 0]


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--components", type=int, default=64)
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--scope", choices=("within-prompt", "cross-prompt"), default="within-prompt")
    parser.add_argument("--prompt-intercept", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--draws", type=int, default=1500, help="of each chain of NUTS")
    options = parser.parse_args()
    torch.set_num_threads(1)
    golden, test_golden = (brm.load_golden(options.folder / name) for name in ("pool", "test"))
    pool, test = principal_components(
        brm.load_pool(options.folder / "pool"), brm.load_pool(options.folder / "test"), options.components
    )
    asked = brm.candidates(pool, options.scope, prompts=None, size=options.labels, seed=options.seed)
    preferences = brm.GoldenAnnotator(golden, TEMPERATURE, seed=options.seed).label(asked)
    model = brm.RewardModel(pool.dim, "linear", prompt_intercept=options.prompt_intercept)
    posteriors: dict[str, brm.RewardPosterior] = {}
    losses: dict[str, np.ndarray] = {}
    print(f"{'':10}{'log loss':>10}{'ECE':>9}{'1 − Spearman':>14}{'log loss − plugin':>24}{'seconds':>10}")
    for name in INFERENCES:
        inference = Nuts(options.chains, options.draws, warmup=200) if name == "nuts" else name
        start = time.perf_counter()
        posteriors[name] = brm.fit(model, pool, preferences, inference, seed=options.seed)
        seconds = time.perf_counter() - start
        predicted = predict(posteriors[name], test, test_golden, TEMPERATURE)
        losses[name] = log_loss_by_prompt(predicted)
        score, better = scores(predicted), losses[name] - losses["plugin"]
        error = better.std(ddof=1) / np.sqrt(len(better))
        against = "" if name == "plugin" else f"{better.mean():+.4f} ± {error:.4f}"
        print(
            f"{name:10}{score['log_loss']:10.4f}{score['ece']:9.4f}{score['one_minus_spearman']:14.4f}"
            f"{against:>24}{seconds:10.1f}",
            flush=True,
        )
    exact = posteriors["nuts"]
    assert isinstance(exact, DrawsPosterior)
    mean, sd = exact.location, exact.beta.std(dim=0)
    print(f"\n{'':10}{'|mean shift|':>14}{'worst':>8}{'|sd ratio − 1|':>16}{'worst':>8}{'k̂':>8}")
    for name in ("laplace", "svi"):
        approximate = posteriors[name]
        assert isinstance(approximate, GaussianPosterior)
        shift = ((approximate.location - mean) / sd).abs()
        ratio = (approximate.covariance_factor.square().sum(dim=1).sqrt() / sd - 1).abs()
        checked = pareto_k(approximate.to_datatree(DRAWS)).data
        assert checked is not None
        print(
            f"{name:10}{shift.mean():14.3f}{shift.max():8.3f}{ratio.mean():16.3f}{ratio.max():8.3f}"
            f"{float(checked['k']):8.2f}"
        )


if __name__ == "__main__":
    main()
