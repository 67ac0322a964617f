"""Campaigns with questions on the desk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.asking import Request


@pytest.fixture(scope="module")
def pool_folder(tmp_path_factory):
    """Twelve prompts of five responses with texts; a file with a pool of its own has one of this name."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((60, 4)).astype(np.float32)
    folder = tmp_path_factory.mktemp("pools") / "pool"
    brm.save_pool(
        folder, brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5), [f"text {k}" for k in range(60)])
    )
    return folder


@pytest.fixture
def campaign(pool_folder, tmp_path):
    """About that pool, with nothing asked yet."""
    return brm.Campaign.create(tmp_path / "campaign", pool_folder)


@pytest.fixture
def asked(tmp_path) -> Callable[..., brm.Campaign]:
    """``asked(size, texts, **request)``: a campaign about a small pool with one batch of ``size`` random pairs."""

    def make(
        size: int = 12,
        texts: list[str] | None = None,
        name: str = "campaign",
        grades: int | None = None,
        **request,
    ) -> brm.Campaign:
        random = np.random.default_rng(0)
        embeddings = random.standard_normal((60, 4)).astype(np.float32)
        words = [f"Response **{k}**" for k in range(60)] if texts is None else texts
        pool = brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5), words)
        folder = tmp_path / f"pool of {name}"
        if not folder.exists():
            brm.save_pool(folder, pool)
        campaign = brm.Campaign.create(tmp_path / name, folder, grades=grades)
        if size:
            campaign.ask(Request(size=size, design="random", **request))
        return campaign

    return make


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Forty questions that both answered, one with care and one at random; one fit of it serves all tests."""
    folder = tmp_path_factory.mktemp("crowd")
    r = np.random.default_rng(0)
    embeddings = r.standard_normal((60, 4)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5), [f"Response {k}" for k in range(60)])
    brm.save_pool(folder / "pool", pool)
    campaign = brm.Campaign.create(folder / "campaign", folder / "pool", encoder="linear")
    reward = embeddings @ np.array([2.0, -2.0, 1.0, 0.0])
    lines = ["question,answer,annotator"]
    for question in campaign.ask(Request(size=40, design="random")):
        careful = "left" if reward[question.left] > reward[question.right] else "right"
        lines += [f"{question.id},{careful},ana", f"{question.id},{r.choice(['left', 'right'])},bob"]
    file = folder / "answers.csv"
    file.write_text("\n".join(lines))
    campaign.tell(file)
    return campaign
