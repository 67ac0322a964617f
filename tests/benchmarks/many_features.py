"""Fits and choice with 3,000 features of 200 responses: in the span of the labels, and with 3,000 × 3,000 matrices."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import bayesrm as brm
from bayesrm.inference import Nuts

Timed = tuple[Callable[[], Any], Callable[[], Any]]
"""Ours, and the same with matrices of all features."""


def _labelled(p: int, labels: int) -> tuple[brm.ResponsePool, brm.Preferences]:
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((200, p)).astype(np.float32)
    golden = 1.5 * embeddings @ random.standard_normal(p) / p**0.5
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(20), 10))
    return pool, brm.GoldenAnnotator(golden, seed=0).label(brm.candidates(pool, size=labels, seed=1))


def _with_all_features(function: Callable[[], Any]) -> Callable[[], Any]:
    def dense() -> Any:
        with patch("bayesrm.utils.span.FEWEST", 10**9):
            return function()

    return dense


def fit_and_choose(p: int = 3_000, labels: int = 100) -> Timed:
    """A linear reward by Laplace, and five pairs by EPIG: ours, and the same without the span."""
    known, prefs = _labelled(p, labels)

    def ours() -> brm.Selection:
        pool = brm.ResponsePool(known.rows(np.arange(len(known))), known.prompt)
        posterior = brm.fit(brm.RewardModel(pool, "linear"), pool, prefs)
        return brm.select(posterior, brm.candidates(pool, prompts=None, exclude=prefs), "epig", 5)

    dense = _with_all_features(ours)
    mine, reference = ours(), dense()
    assert mine.first.tolist() == reference.first.tolist()
    assert mine.second.tolist() == reference.second.tolist()
    np.testing.assert_allclose(mine.gain, reference.gain, rtol=1e-6)
    return ours, dense


def other_fits(p: int = 3_000, labels: int = 100) -> dict[str, Timed]:
    """Other inferences, and what is written of a posterior; the chain is a short one of 25 draws after 25."""
    pool, prefs = _labelled(p, labels)
    model = brm.RewardModel(p, "linear")

    def fit(inference: brm.Inference | str) -> Callable[[], Any]:
        return lambda: brm.fit(model, pool, prefs, inference)

    def save(posterior: brm.RewardPosterior) -> None:
        with tempfile.TemporaryDirectory() as folder:
            brm.save_reward_model(Path(folder) / "saved", posterior)

    fits = {"plugin": "plugin", "svi": "svi", "nuts": Nuts(chains=1, draws=25, warmup=25)}
    timed = {name: (fit(inference), _with_all_features(fit(inference))) for name, inference in fits.items()}
    mine, reference = fit("laplace")(), _with_all_features(fit("laplace"))()
    timed["to_datatree"] = (lambda: mine.to_datatree(100), lambda: reference.to_datatree(100))
    timed["save_reward_model"] = (lambda: save(mine), lambda: save(reference))
    for function in (fit("svi"), *timed["to_datatree"], *timed["save_reward_model"]):  # what is imported once
        function()
    return timed
