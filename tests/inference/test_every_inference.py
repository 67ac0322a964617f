"""What holds of every inference: a posterior of its name, equal to the bit for a seed, that has learned the order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.inference import INFERENCES
from bayesrm.inference.nuts import Nuts

PROMPTS, EACH = 12, 6


@pytest.fixture(scope="module")
def answered(make_world):
    return make_world(seed=4, sizes=(EACH,) * PROMPTS, dim=5, comparisons=400, spread=3.0)


@pytest.fixture(autouse=True)
def _short(short_training, short_variational):
    """Networks need not be good here."""


def _inference(name: str):
    return Nuts(chains=1, draws=40, warmup=30) if name == "nuts" else INFERENCES[name]()


def _model(pool) -> brm.RewardModel:
    return brm.RewardModel(pool.dim, "mlp+linear", hidden=(8,), prior_scale=1.0)


@pytest.fixture(scope="module", params=sorted(INFERENCES))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def fits() -> dict[str, brm.RewardPosterior]:
    """Those with seed 0, by inference: the fixtures that make fits short belong to each test."""
    return {}


def _fitted(fits, answered, name: str) -> brm.RewardPosterior:
    if name not in fits:
        fits[name] = brm.fit(_model(answered.pool), answered.pool, answered.preferences, _inference(name), seed=0)
    return fits[name]


def test_same_seed_same_posterior_and_the_arguments_stay_as_they_are(answered, name, fits):
    model = _model(answered.pool)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(1)
    one = _fitted(fits, answered, name)
    torch.manual_seed(2)
    two = brm.fit(model, answered.pool, answered.preferences, _inference(name), seed=0)
    assert one.inference == name
    for of_one, of_two in zip(one.reward(answered.pool), two.reward(answered.pool), strict=True):
        np.testing.assert_array_equal(of_one, of_two)
        assert of_one.shape == (len(answered.pool),)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert set(model.state_dict()) == set(before)


def test_it_learns_the_order_and_says_how_sure_it_is(answered, name, fits):
    posterior = _fitted(fits, answered, name)
    mean, sd = posterior.reward(answered.pool)
    assert np.corrcoef(mean, answered.golden)[0, 1] > 0.3  # networks had twelve steps
    assert (sd > 0).all() == ("spread" in posterior.provides)
    first, second = answered.preferences.first[:50], answered.preferences.second[:50]
    there = posterior.preference_probability(answered.pool, first, second)
    back = posterior.preference_probability(answered.pool, second, first)
    assert ((there > 0) & (there < 1)).all()
    np.testing.assert_allclose(there + back, 1, atol=1e-6)


def test_without_labels_nothing_is_preferred(answered, name):
    posterior = brm.fit(_model(answered.pool), answered.pool, brm.Preferences.none(), _inference(name), seed=0)
    mean, sd = posterior.reward(answered.pool)
    if name in ("ensemble", "mc-dropout", "nuts", "bnn", "svi"):
        # Means of draws, up to their Monte Carlo error.
        assert np.abs(mean).mean() < np.sqrt((sd**2).mean())
    else:
        np.testing.assert_allclose(mean, 0, atol=1e-6)


def test_it_takes_features_that_are_not_trained(answered, name, tmp_path):
    """Kernel features; and what is exported from them scores as it does."""
    if name == "mc-dropout":
        pytest.skip("there is nothing to drop")
    model = brm.RewardModel(answered.pool.dim, "kernel", prior_scale=1.0)
    posterior = brm.fit(model, answered.pool, answered.preferences[:100], _inference(name), seed=0)
    mean, sd = posterior.reward(answered.pool)
    assert np.corrcoef(mean, answered.golden)[0, 1] > 0.3
    brm.save_reward_model(tmp_path / "model", posterior)
    loaded = brm.load_reward_model(tmp_path / "model").reward(answered.pool.embeddings)
    np.testing.assert_allclose(loaded[0], mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(loaded[1], sd, rtol=1e-4, atol=1e-4)
