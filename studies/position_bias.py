"""A user's own Pyro model: annotators who prefer what they are shown first.

A plain Pyro function with a site for that bias is all that is written here. Fits, designs and ArviZ results follow from
it. Answers are simulated on linear rewards, once with pairs in random order and once with the answer of the
production model, different on average, always shown first: there, a bias that is ignored reads as quality.

    python studies/position_bias.py [--tiny]
"""

from __future__ import annotations

import argparse

import numpy as np
import pyro
import pyro.distributions as dist
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

import bayesrm as brm
from bayesrm import rng

DIM, SCALE = 10, 0.6
BIAS = 1.0
"""In logits: of two equally good answers the first is preferred with probability 0.73."""


def without_bias(features, first, second, outcome=None):
    beta = pyro.sample("beta", dist.Normal(0.0, SCALE).expand([features.shape[-1]]).to_event(1))
    reward = features @ beta
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second]), obs=outcome)


def with_bias(features, first, second, outcome=None):
    beta = pyro.sample("beta", dist.Normal(0.0, SCALE).expand([features.shape[-1]]).to_event(1))
    bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
    reward = features @ beta
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second] + bias), obs=outcome)


def simulate(
    seed: int, comparisons: int, production_first: bool
) -> tuple[brm.ResponsePool, np.ndarray, brm.Preferences]:
    """A pool of two responses a prompt, golden rewards, and answers; the second response is production's."""
    r = rng.stream(seed, "position bias")
    prompts = comparisons
    embeddings = r.normal(size=(2 * prompts, DIM))
    production = np.arange(2 * prompts) % 2 == 1
    embeddings[production, 0] += 1.0
    golden = embeddings @ r.normal(size=DIM) * SCALE
    pool = brm.ResponsePool(embeddings.astype(np.float32), np.arange(2 * prompts) // 2)
    swap = np.ones(prompts, bool) if production_first else r.random(prompts) < 0.5
    first, second = 2 * np.arange(prompts) + swap, 2 * np.arange(prompts) + ~swap
    probability = 1 / (1 + np.exp(golden[second] - golden[first] - BIAS))
    outcome = (r.random(prompts) < probability).astype(float)
    return pool, golden, brm.Preferences(first, second, outcome)


def study(seeds: int, comparisons: int) -> Table:
    """Bias and error of the ranking, by order of presentation and model."""
    table = Table(title=f"True bias {BIAS}; {comparisons} comparisons, {seeds} seeds: mean ± standard error")
    for column in ("shown first", "model", "bias (90% interval, first seed)", "1 − Spearman"):
        table.add_column(column)
    for production_first in (False, True):
        order = "production" if production_first else "at random"
        errors: dict[str, list[float]] = {}
        for program in (without_bias, with_bias):
            interval = "—"
            for seed in range(seeds):
                pool, golden, preferences = simulate(seed, comparisons, production_first)
                fitted = brm.fit(brm.RewardModel(DIM, encoder="linear", program=program), pool, preferences)
                errors.setdefault(program.__name__, []).append(1 - spearmanr(fitted.reward(pool)[0], golden)[0])
                if seed == 0 and program is with_bias:
                    draws = fitted.to_datatree(draws=2000)["posterior"]["bias"].values
                    low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95])
                    interval = f"{middle:.2f} ({low:.2f} to {high:.2f})"
            table.add_row(order, program.__name__, interval, _mean(np.array(errors[program.__name__])))
        gain = np.array(errors["without_bias"]) - np.array(errors["with_bias"])
        table.add_row(
            "", "[bold]gain of the bias site[/bold]", "", f"[bold]{_mean(gain)}[/bold]", end_section=True
        )
    return table


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.4f} ± {values.std(ddof=1) / np.sqrt(len(values)):.4f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="few seeds and comparisons, for a look and for CI")
    tiny = parser.parse_args().tiny
    Console().print(study(seeds=3 if tiny else 20, comparisons=100 if tiny else 300))
