"""What features cannot say: the pairs of labels that share a response, moments of residuals, recovery, coverage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit, logsumexp

import bayesrm as brm
from bayesrm.errors import CapabilityError
from bayesrm.inference.laplace import relearn
from bayesrm.posteriors import unexplained as module
from bayesrm.posteriors.expectation_propagation import propagate
from bayesrm.posteriors.tails import sample
from bayesrm.posteriors.unexplained import PRIOR_MEAN, PRIOR_SD, stretch, unexplained


def _world(seed: int, s: float, labels: int = 400, repeats: int = 1):
    """Linear rewards with an effect of every response beside them, known to annotators alone."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(240, 4)).astype(np.float32)
    pool = brm.ResponsePool(x, np.repeat(np.arange(40), 6))
    golden = x @ np.array([0.8, -0.6, 0.4, 0.3]) + s * r.normal(size=240)
    asked = brm.candidates(pool, size=labels // repeats, seed=seed)
    first, second = (np.tile(end, repeats) for end in (asked.first, asked.second))
    outcome = (r.random(len(first)) < expit(golden[first] - golden[second])).astype(float)
    return pool, golden, brm.Preferences(first, second, outcome)


def test_the_evidence_of_expectation_propagation_is_that_of_many_draws():
    """Four pairs that share responses, two of them with several answers: within .01 nats of 400,000 draws."""
    r = np.random.default_rng(0)
    mixing = r.normal(size=(4, 3))
    covariance = torch.from_numpy(mixing @ mixing.T + 0.3 * np.eye(4))
    mean = torch.from_numpy(0.5 * r.normal(size=4))
    ones, answers = torch.tensor([1.0, 0.0, 3.0, 2.0])[:, None], torch.tensor([1.0, 1.0, 4.0, 2.0])[:, None]

    def log_likelihood(eta):
        return ones * eta - answers * torch.nn.functional.softplus(eta)

    draws = mean.numpy() + r.normal(size=(400_000, 4)) @ np.linalg.cholesky(covariance.numpy()).T
    exact = np.log(np.exp(log_likelihood(torch.from_numpy(draws.T)).sum(dim=0).numpy()).mean())
    assert propagate(mean, covariance, log_likelihood).log_evidence == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("sd", [1.0, 5.0, 20.0, 60.0])
@pytest.mark.parametrize("answers", [(1, 0), (40, 0), (5, 5), (50, 50), (200, 150)])
def test_however_many_answers_leave_however_little_of_a_wide_prior(sd, answers):
    """A grid over the prior alone would step over what is left of it."""
    won, lost = answers
    x = np.linspace(-9 * sd, 9 * sd, 400_001)
    log_density = -0.5 * (x / sd) ** 2 + won * log_expit(x) + lost * log_expit(-x)
    exact = logsumexp(log_density) + np.log((x[1] - x[0]) / (sd * np.sqrt(2 * np.pi)))

    def log_likelihood(eta):
        return won * torch.nn.functional.logsigmoid(eta) + lost * torch.nn.functional.logsigmoid(-eta)

    found = propagate(torch.zeros(1).double(), torch.full((1, 1), sd**2).double(), log_likelihood)
    assert found.log_evidence == pytest.approx(exact, abs=0.03)


def test_fifty_answers_a_pair_leave_intervals():
    r = np.random.default_rng(0)
    x = r.normal(size=(80, 50)).astype(np.float32)
    pool = brm.ResponsePool(x, np.arange(80) // 4)
    golden = x @ r.normal(size=50) / np.sqrt(50) + r.normal(size=80)
    first = np.repeat(np.arange(0, 80, 4), 50)
    outcome = (r.random(len(first)) < expit(golden[first] - golden[first + 1])).astype(float)
    posterior = brm.fit(brm.RewardModel(pool, "linear"), pool, brm.Preferences(first, first + 1, outcome))
    low, high = posterior.predictive_interval(pool)
    assert np.mean((low < golden - golden.mean()) & (golden - golden.mean() < high)) > 0.7
    assert posterior.unexplained.interval()[1] < 2, "one, and little doubt of it"


def test_an_answer_says_as_much_whichever_response_stands_first():
    pool, _, prefs = _world(0, 1.0, labels=60, repeats=3)
    turned = np.arange(len(prefs)) % 2 == 0
    swapped = brm.Preferences(
        np.where(turned, prefs.second, prefs.first),
        np.where(turned, prefs.first, prefs.second),
        np.where(turned, 1 - prefs.outcome, prefs.outcome),
    )
    model = brm.RewardModel(pool, encoder="linear")
    found, same = (brm.fit(model, pool, labels).unexplained for labels in (prefs, swapped))
    np.testing.assert_allclose(found.probability, same.probability, atol=1e-4)
    assert (found.pairs, found.repeated) == (same.pairs, same.repeated) == (20, 20)


def test_ties_do_not_say_that_all_responses_are_alike():
    """Pairs that share no response say nothing of s beside a reward that is next to zero, be they ties or not."""
    pool, _, _ = _world(0, 1.0)
    tied = brm.Preferences(np.arange(0, 240, 2), np.arange(1, 240, 2), np.full(120, 0.5))
    found = brm.fit(brm.RewardModel(pool, encoder="linear", prior_scale=1e-3), pool, tied).unexplained
    assert found.pairs == 120
    prior = np.exp(-0.5 * ((np.log(found.sd) - PRIOR_MEAN) / PRIOR_SD) ** 2)
    np.testing.assert_allclose(found.probability, prior / prior.sum(), atol=2e-3)


def test_without_labels_it_is_the_prior(pool):
    prior = unexplained(brm.fit(brm.RewardModel(pool.dim, "linear"), pool, brm.Preferences.none()))
    assert (prior.pairs, prior.repeated) == (0, 0)
    assert np.log(prior.sd) @ prior.probability == pytest.approx(PRIOR_MEAN, abs=0.05)
    low, high = prior.interval(0.9)
    assert low == pytest.approx(np.exp(PRIOR_MEAN - 1.645 * PRIOR_SD), rel=0.15)
    assert high == pytest.approx(np.exp(PRIOR_MEAN + 1.645 * PRIOR_SD), rel=0.15)


def test_more_is_found_where_there_is_more():
    """Means over five worlds: ordered by the truth, and within .35 of it where answers are repeated."""
    found = {}
    for s in (0.2, 0.8, 1.6):
        sds = []
        for seed in range(5):
            pool, _, prefs = _world(seed, s, labels=900, repeats=3)
            sds.append(brm.fit(brm.RewardModel(pool, encoder="linear"), pool, prefs).unexplained.variance ** 0.5)
        found[s] = float(np.mean(sds))
    assert found[0.2] < found[0.8] < found[1.6]
    assert found[0.8] == pytest.approx(0.8, abs=0.35)
    assert found[1.6] == pytest.approx(1.6, abs=0.35)


@pytest.mark.parametrize("s", [0.8, 1.4])
def test_predictive_intervals_cover_where_those_of_the_linear_reward_do_not(s):
    """90% intervals of 240 rewards in six worlds: between 80 and 97%, against less than 60% without u."""
    with_u, without = [], []
    for seed in range(6):
        pool, golden, prefs = _world(seed, s, repeats=2)
        posterior = brm.fit(brm.RewardModel(pool, encoder="linear"), pool, prefs)
        truth = golden - golden.mean()
        low, high = posterior.predictive_interval(pool, level=0.9)
        with_u.append(np.mean((truth > low) & (truth < high)))
        mean, sd = posterior.reward(pool)
        without.append(np.mean(np.abs(truth - mean) < 1.645 * sd))
    assert 0.8 < np.mean(with_u) < 0.97
    assert np.mean(without) < 0.6


def test_the_consensus_is_less_certain_than_the_linear_reward():
    pool, _, prefs = _world(0, 1.0)
    posterior = brm.fit(brm.RewardModel(pool, encoder="linear"), pool, prefs)
    first, second = np.arange(0, 60, 2), np.arange(1, 60, 2)
    mean, variance = (part.numpy() for part in posterior.logit_moments(pool, brm.Comparisons(first, second)))
    from scipy.stats import norm

    found = posterior.consensus_probability(pool, first, second)
    r = np.random.default_rng(0)
    draws = 200_000
    s = posterior.unexplained.sample(draws, r)
    for pair in (0, 7):
        eta = mean[pair] + np.sqrt(variance[pair]) * r.normal(size=draws)
        u = sample(s, 2, r) @ np.array([1.0, -1.0])
        preferred = np.mean(np.sqrt(1 + np.pi * s**2 / 4) * eta + u > 0)
        assert found[pair] == pytest.approx(preferred, abs=5 * 0.5 / np.sqrt(draws))
    assert (np.abs(found - 0.5) < np.abs(norm.cdf(mean / np.sqrt(variance)) - 0.5)).all()


def test_whole_networks_say_that_they_have_none(pool, preferences, short_training):
    posterior = brm.fit(brm.RewardModel(pool.dim, "mlp"), pool, preferences, "ensemble")
    with pytest.raises(CapabilityError, match="needs a posterior of the last layer"):
        posterior.predictive_interval(pool)


@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_what_is_fitted_without_u_is_stretched_to_the_consensus(s):
    """E_u p(k η + u_i − u_j) is p(η), to the 2% of the probit approximation."""
    u = np.random.default_rng(0).normal(size=400_000) * s * 2**0.5
    for eta in (0.3, 1.0, 2.0):
        assert expit(stretch(np.array(s)) * eta + u).mean() == pytest.approx(expit(eta), abs=0.02)


def test_intervals_cover_worlds_whose_u_is_drawn_from_the_prior():
    """Everything unknown drawn anew: 90% intervals of rewards hold 85 to 95% of them, whatever s is."""
    held = []
    for seed in range(16):
        s = float(np.exp(PRIOR_MEAN + PRIOR_SD * np.random.default_rng(100 + seed).normal()))
        pool, golden, prefs = _world(seed, s, labels=300)
        posterior = brm.fit(brm.RewardModel(pool, encoder="linear"), pool, prefs)
        low, high = posterior.predictive_interval(pool, level=0.9)
        truth = golden - golden.mean()
        held.append(np.mean((truth > low) & (truth < high)))
    assert 0.85 < np.mean(held) < 0.95


def test_labels_say_how_large_it_is_where_answers_are_repeated():
    pool, _, prefs = _world(1, 1.0, labels=900, repeats=3)
    model = brm.RewardModel(pool, encoder="linear")
    assert brm.fit(model, pool, prefs).unexplained.identified
    assert not brm.fit(model, pool, prefs[:20]).unexplained.identified


def test_the_evidence_of_some_labels_given_others_is_that_of_all_less_that_of_the_others():
    """log p(y_A, y_B) − log p(y_A) = log p(y_B | y_A), where u is next to nothing: within the error of Laplace."""
    pool, _, prefs = _world(0, 0.1, labels=120)
    model = brm.RewardModel(pool, encoder="linear", prior_scale=1.0)
    known, unseen = module._halves(pool, prefs)
    whole, half = (brm.fit(model, pool, labels) for labels in (prefs, known))

    def evidence(prior: module._Known, labels: brm.Preferences) -> float:
        return float(module._evidence_of(whole, prior, module._Asked.of(labels))[0])

    before = module._Known.before(whole)
    given = evidence(before, known.append(unseen)) - evidence(before, known)
    assert evidence(module._Known.after(half), unseen) == pytest.approx(given, abs=0.1)
    assert abs(evidence(before, unseen) - given) > 0.5


@pytest.mark.parametrize("scope", ["within-prompt", "cross-prompt"])
def test_halves_share_no_prompt_and_within_prompts_lose_no_label(scope):
    pool, _, _ = _world(0, 1.0)
    asked = brm.candidates(pool, scope, size=200, seed=0)
    labels = brm.Preferences(asked.first, asked.second, np.ones(200))
    halves = module._halves(pool, labels)
    prompts = [set(pool.group[half.first]) | set(pool.group[half.second]) for half in halves]
    assert not prompts[0] & prompts[1]
    assert min(map(len, halves)) > 20
    if scope == "within-prompt":
        assert sum(map(len, halves)) == 200
    alone = brm.ResponsePool(pool.embeddings, np.zeros(len(pool), dtype=np.int64))
    responses = [set(half.first) | set(half.second) for half in module._halves(alone, labels)]
    assert responses[0]
    assert responses[1]
    assert not responses[0] & responses[1]


def test_a_network_does_not_take_what_it_has_fitted_for_what_it_knows():
    """Its own labels it explains better than others: as if nothing were left out."""
    small, _, prefs = _world(1, 1.5, labels=300)
    noise = np.random.default_rng(0).normal(size=(len(small), 44)).astype(np.float32)
    pool = brm.ResponsePool(np.hstack([small.embeddings, noise]), small.prompt)
    posterior = brm.fit(brm.RewardModel(pool, encoder="mlp"), pool, prefs)
    assert posterior.learns_features
    own = module._evidence_of(posterior, module._Known.before(posterior), module._Asked.of(prefs))
    held_out = module._evidence(posterior, module._Asked.of(prefs), prefs)
    assert (held_out[-2] - held_out[0]) - (own[-2] - own[0]) > 2.0
    # Of features that saw no label nothing is learnt anew.
    linear = brm.fit(brm.RewardModel(pool, encoder="linear"), pool, prefs)
    assert not linear.learns_features
    np.testing.assert_array_equal(
        module._evidence(linear, module._Asked.of(prefs), prefs),
        module._evidence_of(linear, module._Known.before(linear), module._Asked.of(prefs)),
    )


def test_what_is_learnt_anew_is_a_network_of_the_same_kind_and_the_same_each_time(short_training):
    pool, _, prefs = _world(0, 1.0, labels=60)
    posterior = brm.fit(brm.RewardModel(pool, encoder="mlp"), pool, prefs)
    weights = [parameter.clone() for parameter in posterior.model.encoder.parameters()]
    one, same = (relearn(posterior, prefs[np.arange(30)]) for _ in range(2))
    torch.testing.assert_close(one.location, same.location, rtol=0, atol=0)
    assert type(one.model.encoder) is type(posterior.model.encoder)
    assert not torch.equal(next(one.model.encoder.parameters()), weights[0])
    for before, after in zip(weights, posterior.model.encoder.parameters(), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)
