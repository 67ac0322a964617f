"""The paper's designs against a direct implementation; information designs of draws against the Gaussian form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import k_means

import bayesrm as brm
from bayesrm import rng
from bayesrm.design import CRITERIA, SELECTORS
from bayesrm.design.base import Design
from bayesrm.posteriors.base import RewardMoments


@pytest.mark.parametrize("inference", ["plugin", "laplace"])
@pytest.mark.parametrize("design", ["paper-dopt", "paper-pa-dopt", "paper-xtx"])
@pytest.mark.parametrize("prior_scale", [None, 0.7])
def test_the_paper_s_designs_are_a_direct_top_k(make_world, inference, design, prior_scale):
    world = make_world(3, sizes=(10,) * 10, dim=8, comparisons=60)
    model = brm.RewardModel(8, "linear", prior_scale=prior_scale)
    posterior = brm.fit(model, world.pool, world.preferences, inference)
    candidates = brm.candidates(world.pool, "cross-prompt", size=800)
    phi, beta = posterior.features(world.pool), posterior.location
    z = phi[candidates.first] - phi[candidates.second]
    past = phi[world.preferences.first] - phi[world.preferences.second]
    p, q = torch.sigmoid(z @ beta), torch.sigmoid(past @ beta)
    w = torch.ones_like(p) if design == "paper-xtx" else p * (1 - p)
    switch = torch.ones_like(w, requires_grad=True)
    matrix = 1e-6 * torch.eye(8, dtype=torch.float64) + (z * (switch * w)[:, None]).T @ z
    if design == "paper-pa-dopt":
        matrix = matrix + (past * (q * (1 - q))[:, None]).T @ past
    (score,) = torch.autograd.grad(torch.logdet(matrix), switch)
    expected = score.argsort(descending=True)[:50].numpy()
    batch = brm.select(posterior, candidates, design, 50)
    assert batch.first.tolist() == candidates.first[expected].tolist()
    assert batch.second.tolist() == candidates.second[expected].tolist()


def test_each_of_the_eight_has_its_paper_mode():
    eight = {"random", "entropy", "maxdiff", "xtx", "coreset", "batchbald", "dopt", "pa-dopt"}
    assert {f"paper-{name}" for name in eight} == {name for name in CRITERIA if name.startswith("paper-")}


@pytest.mark.parametrize("inference", ["plugin", "laplace"])
def test_the_paper_s_level_sets_are_a_direct_top_k(make_world, inference):
    world = make_world(3, sizes=(10,) * 10, dim=8, comparisons=60)
    posterior = brm.fit(brm.RewardModel(8, "linear", prior_scale=0.7), world.pool, world.preferences, inference)
    candidates = brm.candidates(world.pool, "cross-prompt", size=800)
    score = (posterior.features(world.pool) @ posterior.location).numpy()
    apart = np.abs(score[candidates.first] - score[candidates.second])
    for design, order in (("paper-entropy", np.argsort(apart)), ("paper-maxdiff", np.argsort(-apart))):
        batch = brm.select(posterior, candidates, design, 40)
        assert batch.first.tolist() == candidates.first[order[:40]].tolist()
        assert batch.second.tolist() == candidates.second[order[:40]].tolist()


def test_the_paper_s_sensitivities_are_those_of_a_loop(make_world):
    """As in the code of Huggins et al.: every cluster with its size and centre, less one point of its own."""
    world = make_world(3, sizes=(10,) * 10, dim=4, comparisons=30)
    posterior = brm.fit(brm.RewardModel(4, "linear"), world.pool, world.preferences, "plugin")
    candidates = brm.candidates(world.pool, size=300)
    phi = posterior.features(world.pool).numpy()
    z = phi[candidates.first] - phi[candidates.second]
    seed = rng.child(5, "k-means") % 2**32
    centres, labels, _ = k_means(z, 10, n_init=1, max_iter=1, random_state=seed)
    expected = np.empty(300)
    for m in range(300):
        total = 1.0 - np.exp(-np.linalg.norm(z[m] - centres[labels[m]]))
        for i in range(10):
            total += (labels == i).sum() * np.exp(-np.linalg.norm(z[m] - centres[i]))
        expected[m] = 300 / total
    objective = CRITERIA["paper-coreset"](seed=5).objective(posterior, candidates)
    np.testing.assert_allclose(objective.score(candidates.block_at(np.arange(300))).numpy(), expected, rtol=1e-9)
    batch = brm.select(posterior, candidates, "paper-coreset", 20, seed=1)
    assert len(set(zip(batch.first.tolist(), batch.second.tolist(), strict=True))) == 20


def test_the_paper_s_batchbald_goes_on_beyond_the_ceiling(make_world):
    """Before it both choose alike; beyond it the paper's is still greedy in what the draws say."""
    world = make_world(2, sizes=(10,) * 8, dim=20, comparisons=0)
    posterior = brm.fit(brm.RewardModel(20, "linear", prior_scale=1.0), world.pool, brm.Preferences.none())
    candidates = brm.candidates(world.pool, "cross-prompt", size=200)
    ours, theirs = (
        Design(CRITERIA[name](draws=12), SELECTORS["greedy"]()).select(posterior, candidates, 14)
        for name in ("batchbald", "paper-batchbald")
    )
    reached = int(np.argmax(np.cumsum(ours.gain) > 0.9 * np.log(12))) + 1
    assert 2 < reached < 12
    assert ours.first[:reached].tolist() == theirs.first[:reached].tolist()
    assert ours.first.tolist() != theirs.first.tolist()


@pytest.mark.parametrize("design", ["paper-dopt", "paper-pa-dopt", "paper-xtx"])
def test_one_pair_and_no_labels(pool, design):
    prior = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, brm.Preferences.none())
    assert np.isfinite(brm.select(prior, brm.candidates(pool, size=1), design, 1).gain).all()


def test_information_of_draws_is_that_of_the_gaussian(laplace, pool):
    """½ log det(I + W^½ K W^½) with K from draws, within five standard errors of a log-determinant."""

    class Drawn(brm.RewardPosterior):
        model, pool, preferences = laplace.model, laplace.pool, laplace.preferences
        sample_rewards = entropy = condition = to_datatree = None

        def reward_moments(self, pool, responses=None):
            index = np.arange(len(pool)) if responses is None else responses
            return RewardMoments.from_draws(
                laplace.sample_rewards(pool, index, draws, rng.stream(0, "test")).T.contiguous()
            )

    draws = 4000
    candidates = brm.candidates(pool, "cross-prompt", size=60)
    block = candidates.block_at(np.arange(10))
    ours, theirs = (CRITERIA["pa-dopt"]().objective(p, candidates).gains(block).sum() for p in (Drawn(), laplace))
    # The log-determinant of a sample covariance of rank r has variance 2 r / n; its information is less sensitive.
    assert float(ours) == pytest.approx(float(theirs), abs=5 * 0.5 * np.sqrt(2 * pool.dim / draws) + 0.01)
    direct = laplace.logit_covariance(pool, *[brm.Comparisons(candidates.first[:10], candidates.second[:10])] * 2)
    w = laplace.reward_moments(pool, candidates.responses).fisher_weight(
        laplace.likelihood, block.first, block.second
    )
    gram = torch.eye(10, dtype=torch.float64) + w.sqrt()[:, None] * direct * w.sqrt()
    assert float(theirs) == pytest.approx(0.5 * float(torch.logdet(gram)), rel=1e-9)


def test_entropy_promised_is_entropy_found(laplace, pool):
    """Conditioned on both answers with their expected weights, entropy falls by what was promised."""
    candidates = brm.candidates(pool, "cross-prompt", size=60)
    batch = brm.select(laplace, candidates, "pa-dopt", 12)
    phi = laplace.features(pool)
    z = phi[batch.first] - phi[batch.second]
    w = laplace.likelihood.expected_fisher_weight(*laplace.logit_moments(pool, batch))
    before = laplace.information_cholesky @ laplace.information_cholesky.T
    after = before + (z * w[:, None]).T @ z
    found = 0.5 * (torch.logdet(after) - torch.logdet(before))
    assert batch.gain.sum() == pytest.approx(float(found), rel=1e-8)
    # A refit does the same: half an answer of either kind leaves the weight where it was, and moves nothing by much.
    half = brm.Preferences(
        batch.first, batch.second, laplace.preference_probability(pool, batch.first, batch.second)
    )
    fall = laplace.entropy() - laplace.condition(half).entropy()
    assert fall == pytest.approx(batch.gain.sum(), rel=0.1)
