"""What several blocks and kernels cost: a fit of ten blocks, and a design over all pairs on kernel features."""

from __future__ import annotations

from typing import Any

import numpy as np

import bayesrm as brm
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.models.encoders.kernel import Kernel

WIDTH, LAYERS = 384, 7


def layered_pool(prompts: int = 300, each: int = 10) -> brm.ResponsePool:
    """Seven layers of 384 numbers with a spectrum as of a sentence encoder, and nine covariates, as of ``embed``."""
    random = np.random.default_rng(0)
    n = prompts * each
    shared = random.standard_normal((n, 64)) * np.geomspace(1, 0.1, 64)
    layers = [
        shared @ random.standard_normal((64, WIDTH)) / 8 + 0.1 * random.standard_normal((n, WIDTH))
        for _ in range(LAYERS)
    ]
    blocks = {f"layer-{k}": slice(k * WIDTH, (k + 1) * WIDTH) for k in range(LAYERS)}
    covariates = {f"covariate_{k}": random.standard_normal(n) for k in range(9)}
    rows = np.concatenate(layers, axis=1).astype(np.float32)
    return brm.ResponsePool(rows, np.repeat(np.arange(prompts), each), blocks=blocks, covariates=covariates)


def fits_of_auto(labels: int = 1000, curved: bool = False) -> tuple[Any, Any]:
    """Fits of ``encoder="auto"`` to random pairs: on all blocks and covariates, and on the last layer alone.

    Where rewards are curved, all blocks get a Gaussian process or a network beside them.
    """
    pool = layered_pool()
    random = np.random.default_rng(1)
    golden = pool.embeddings @ random.standard_normal(pool.dim)
    if curved:
        golden = -((golden / golden.std()) ** 2)
    prefs = brm.GoldenAnnotator(golden / golden.std(), 2.0, seed=0).label(
        brm.candidates(pool, prompts=None, size=labels)
    )
    last = brm.ResponsePool(np.ascontiguousarray(pool.embeddings[:, -WIDTH:]), pool.prompt)

    def fit(of: brm.ResponsePool) -> brm.RewardPosterior:
        # A pool of its own, so that nothing is remembered from the repetition before.
        fresh = brm.ResponsePool(of.embeddings, of.prompt, blocks=of.blocks, covariates=of.covariates)
        return brm.fit(brm.RewardModel(fresh, encoder="auto"), fresh, prefs)

    assert len(fit(pool).model.blocks) >= 9
    assert curved == (fit(pool).model.encoder.name != "layers")
    return lambda: fit(pool), lambda: fit(last)


def kernel_over_all_pairs(n: int = 5_000, features: int = 512) -> tuple[brm.RewardPosterior, CandidateSet]:
    """A posterior over kernel features of 500 labels, and all pairs of n responses."""
    random = np.random.default_rng(0)
    embeddings = (random.standard_normal((n, 64)) * np.geomspace(1, 0.1, 64)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.arange(n) // 10)
    prefs = brm.GoldenAnnotator(embeddings @ random.standard_normal(64), seed=0).label(
        brm.candidates(pool, "cross-prompt", size=500, seed=1)
    )
    model = brm.RewardModel(64, Kernel(64, features=features), prior_scale=0.3)
    posterior = brm.fit(model, pool, prefs)
    assert posterior.model.features == features
    return posterior, brm.candidates(pool, "cross-prompt", prompts=None, size=None, exclude=prefs)
