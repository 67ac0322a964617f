"""Every design on pools at the edge, and campaigns that run out of pairs."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.gaussian import GaussianPosterior
from bayesrm.posteriors.point import PointPosterior

KINDS = ("all equal", "two identical pools", "weak features", "one prompt", "one pair")


def _pool(kind: str) -> brm.ResponsePool:
    random = np.random.default_rng(0)
    base, prompt = random.normal(size=(12, 5)), np.repeat([0, 1, 2], 4)
    if kind == "all equal":
        base = np.ones_like(base)
    elif kind == "two identical pools":
        base, prompt = np.concatenate([base, base]), np.concatenate([prompt, prompt + 3])
    elif kind == "weak features":
        base = random.normal(size=(12, 64)) * np.where(np.arange(64) < 4, 1.0, 0.01)
    elif kind == "one prompt":
        prompt = np.zeros(12, int)
    elif kind == "one pair":
        base, prompt = base[:2], prompt[:2]
    return brm.ResponsePool(base.astype(np.float32), prompt)


@pytest.fixture(scope="module")
def posteriors() -> dict[tuple[str, str], brm.RewardPosterior]:
    fitted = {}
    for kind in KINDS:
        pool = _pool(kind)
        first = np.array([0, 1]) if kind == "one pair" else np.array([0, 5, 2, 1])
        second = np.array([1, 0]) if kind == "one pair" else np.array([1, 6, 3, 2])
        prefs = brm.Preferences(first, second, np.arange(len(first)) % 2)
        for inference in ("plugin", "laplace"):
            model = brm.RewardModel(pool.dim, "linear", inputs="raw")
            fitted[kind, inference] = brm.fit(model, pool, prefs, inference)
    return fitted


@pytest.mark.parametrize(
    ("design", "inference"),
    [
        (name, inference)
        for name in CRITERIA
        for inference, kind in (("plugin", PointPosterior), ("laplace", GaussianPosterior))
        if CRITERIA[name].requires <= kind.provides
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_every_design_on_every_pool_for_some_pairs_and_for_all(posteriors, design, kind, inference):
    posterior = posteriors[kind, inference]
    for scope, most in (("within-prompt", 15), ("cross-prompt", 3)):
        candidates = brm.candidates(posterior.pool, scope, None, None, identical=kind == "all equal")
        size = min(most, len(candidates))
        batch = brm.select(posterior, candidates, design, size)
        asked = {frozenset(ends) for ends in zip(batch.first.tolist(), batch.second.tolist(), strict=True)}
        assert len(asked) == size
        assert np.isfinite(batch.gain).all()
        assert (batch.gain >= 0).all()
        assert np.isfinite(batch.bound)
        if kind != "all equal":
            rows = posterior.pool.embeddings
            assert (rows[batch.first] != rows[batch.second]).any(axis=1).all()


@pytest.mark.parametrize("design", ["dopt", "pa-dopt", "xtx", "vopt", "epig"])
def test_weak_features_are_not_chased(posteriors, design):
    """The prior, unlike a ridge of 1e-6, knows that features at sd 0.01 cannot matter."""
    posterior = posteriors["weak features", "laplace"]
    candidates = brm.candidates(posterior.pool, "cross-prompt", None, None)
    batch = brm.select(posterior, candidates, design, 4)
    rows = posterior.pool.embeddings.astype(float)
    apart = np.square(rows[batch.first, :4] - rows[batch.second, :4]).sum(axis=1)
    a, b = (candidates.responses[end] for end in candidates.pairs_at(np.arange(len(candidates))))
    assert apart.mean() > np.square(rows[a, :4] - rows[b, :4]).sum(axis=1).mean()


def _run(out, design="pa-dopt", rounds=5, batch_size=7, **settings):
    pool = _pool("two identical pools")
    annotator = brm.GoldenAnnotator(pool.embeddings[:, 0].astype(float), seed=0)
    model = brm.RewardModel(5, "linear", prior_scale=1.0)
    settings = {
        "design": design,
        "rounds": rounds,
        "batch_size": batch_size,
        "draws": 5,
        "progress": False,
    } | settings
    return brm.run(pool, annotator, model=model, out=out, **settings)


@pytest.mark.parametrize("design", list(CRITERIA))
def test_a_campaign_asks_what_is_left_and_ends(design):
    """36 pairs within prompts: five rounds of 7, one of the last pair, and none after it."""
    with pytest.warns(UserWarning, match="no pair was left to ask after 6 of 8 rounds and 36 labels"):
        tree = _run(None, design, rounds=8)
    assert tree["trajectory"]["labels"].values.tolist() == [7, 14, 21, 28, 35, 36]
    selection = tree["selection"]
    pairs = np.sort(np.stack([selection["first"].values, selection["second"].values]), axis=0)
    assert len(np.unique(pairs, axis=1).T) == 36


def test_an_exhausted_campaign_is_the_same_when_it_is_opened_again(tmp_path):
    for _ in range(2):
        with pytest.warns(UserWarning, match="no pair was left to ask"):
            tree = _run(tmp_path / "run", rounds=8)
        assert tree["trajectory"].sizes["round"] == 6
        assert brm.open_results(tmp_path / "run")["trajectory"].sizes["round"] == 6


def test_exhausted_prompts_are_replaced_by_others():
    """Two of six prompts are drawn a round, of 12 pairs; whichever are asked up, the others are still there."""
    tree = _run(None, rounds=5, batch_size=7, prompts=2)
    assert tree["trajectory"]["labels"].values[-1] == 35


def test_a_first_batch_larger_than_the_pool_is_refused():
    with pytest.raises(InvalidInputError, match="between 1 and 36 pairs, the number of candidates, got 37"):
        _run(None, batch_size=37)
