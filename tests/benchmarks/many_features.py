"""Fit and choice with 3,000 features of 200 responses: in the span of the labels, and with 3,000 × 3,000 matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np

import bayesrm as brm


def fit_and_choose(p: int = 3_000, labels: int = 100) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A linear reward by Laplace, and five pairs by EPIG: ours, and the same without the span."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((200, p)).astype(np.float32)
    prompt = np.repeat(np.arange(20), 10)
    golden = 1.5 * embeddings @ random.standard_normal(p) / p**0.5

    def ours() -> brm.Selection:
        pool = brm.ResponsePool(embeddings, prompt)
        prefs = brm.GoldenAnnotator(golden, seed=0).label(brm.candidates(pool, size=labels, seed=1))
        posterior = brm.fit(brm.RewardModel(pool, "linear"), pool, prefs)
        return brm.select(posterior, brm.candidates(pool, prompts=None, exclude=prefs), "epig", 5)

    def dense() -> brm.Selection:
        with patch("bayesrm.utils.span.FEWEST", 10**9):
            return ours()

    mine, reference = ours(), dense()
    assert mine.first.tolist() == reference.first.tolist()
    assert mine.second.tolist() == reference.second.tolist()
    np.testing.assert_allclose(mine.gain, reference.gain, rtol=1e-6)
    return ours, dense
