"""Every likelihood with every inference of a last layer: fitted to its own answers, approximations close to NUTS."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.inference.nuts import Nuts
from bayesrm.models.likelihoods import LIKELIHOODS

GAUSSIAN = ("laplace", "svi")


def _answered(world, name: str) -> brm.Preferences:
    """Of the likelihood at its defaults, in turn by two annotators; to Plackett and Luce, rankings of three."""
    if name == "plackett-luce":
        random = np.random.default_rng(3)
        triples = np.stack([random.permutation(len(world.pool))[:3] for _ in range(60)])
        utility = 2 * world.golden[triples] + random.gumbel(size=triples.shape)
        return brm.Preferences.from_rankings(np.take_along_axis(triples, np.argsort(-utility), axis=1))
    first, second = world.preferences.first, world.preferences.second
    logit = torch.from_numpy(2 * (world.golden[first] - world.golden[second]))
    outcome = LIKELIHOODS[name]().simulate(logit, np.random.default_rng(5)).numpy()
    return brm.Preferences(first, second, outcome, annotator=np.where(np.arange(len(first)) % 2, "ann", "bob"))


@pytest.mark.usefixtures("short_variational")
@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_every_inference_fits_it(world, name):
    labels = _answered(world, name)
    model = brm.RewardModel(world.pool.dim, "linear", likelihood=name, prior_scale=0.5)
    posteriors = {each: brm.fit(model, world.pool, labels, each, seed=1) for each in GAUSSIAN}
    posteriors["nuts"] = brm.fit(model, world.pool, labels, Nuts(chains=1, draws=60, warmup=30), seed=1)
    exact, spread = posteriors["nuts"].reward(world.pool)
    for inference, posterior in posteriors.items():
        mean, sd = posterior.reward(world.pool)
        assert np.corrcoef(mean, world.golden)[0, 1] > 0.85, inference
        # 60 draws give a mean to an eighth of an sd and an sd to a tenth; where temperatures of annotators trade off
        # with the scale of rewards, a chain is slow and the mode is not the mean.
        assert np.abs((mean - exact) / spread).mean() < 0.75, inference
        assert np.abs(sd / spread - 1).mean() < 0.4, inference
        probability = posterior.preference_probability(world.pool, labels.first, labels.second)
        assert ((probability > 0) & (probability < 1)).all(), inference
        lp = posterior.to_datatree(20)["sample_stats"]["lp"]
        assert np.isfinite(lp).all(), inference


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_without_labels_there_is_the_prior(world, name):
    model = brm.RewardModel(world.pool.dim, "linear", likelihood=name, prior_scale=0.5)
    posterior = brm.fit(model, world.pool, brm.Preferences.none())
    mean, sd = posterior.reward(world.pool)
    np.testing.assert_allclose(mean, 0, atol=1e-12)
    np.testing.assert_allclose(sd, 0.5 * np.linalg.norm(posterior.features(world.pool).numpy(), axis=1), rtol=1e-6)
