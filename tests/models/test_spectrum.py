"""Embeddings scaled within prompts, prompt intercepts, and linear features beside a network, against plain algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.inference.fitting.prior_scale import SHARE_ACROSS, SHARE_WITHIN
from bayesrm.models.spectrum import DEFAULT_POWER, WithinPromptSpectrum, within_prompt_covariance
from bayesrm.models.standardize import Standardize
from bayesrm.posteriors.base import PlainPairs


def _world(
    seed: int, comparisons: int, within: float = 1.0, dim: int = 12, prompts: int = 30, across: bool = False
):
    """Responses to a prompt differ along few directions, prompts along all; rewards along the former."""
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(prompts), 8)
    scale = np.exp(-within * np.arange(dim))
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    offsets = rng.normal(size=(prompts, dim)) * 2
    embeddings = (rng.normal(size=(len(prompt), dim)) * scale) @ basis.T + offsets[prompt]
    weight = basis @ (rng.normal(size=dim) * scale**2)
    golden = 2.0 * (embeddings - offsets[prompt]) @ weight / np.linalg.norm(scale**3)
    hardness = 2.0 * rng.normal(size=prompts)
    if across:
        first = rng.integers(len(prompt), size=comparisons)
        second = (first + rng.integers(1, len(prompt), size=comparisons)) % len(prompt)
    else:
        first = rng.integers(len(prompt), size=comparisons)
        second = first // 8 * 8 + (first % 8 + rng.integers(1, 8, size=comparisons)) % 8
    score = golden + hardness[prompt]
    outcome = (rng.random(comparisons) < 1 / (1 + np.exp(score[second] - score[first]))).astype(float)
    pool = brm.ResponsePool(embeddings.astype(np.float32), prompt)
    return pool, golden, brm.Preferences(first, second, outcome)


def _standardized(pool: brm.ResponsePool) -> np.ndarray:
    standardize = Standardize(pool.dim)
    standardize.fit(pool)
    return standardize(torch.from_numpy(pool.rows(np.arange(len(pool))))).double().numpy()


def _within_covariance(pool: brm.ResponsePool) -> np.ndarray:
    x = _standardized(pool)
    total, freedom = np.zeros((pool.dim, pool.dim)), 0
    for member in pool.members:
        centred = x[member] - x[member].mean(axis=0)
        total += centred.T @ centred
        freedom += len(member) - 1
    return total / freedom


def _power(matrix: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**power) @ vectors.T


def test_the_spectrum_is_that_of_the_covariance_within_prompts(make_world):
    pool = make_world(1, dim=5).pool
    standardize, spectrum = Standardize(pool.dim), WithinPromptSpectrum(pool.dim)
    standardize.fit(pool)
    spectrum.fit(pool, standardize)
    rotation = spectrum.rotation.double().numpy()
    rebuilt = (rotation * spectrum.eigenvalues.numpy()) @ rotation.T
    np.testing.assert_allclose(rebuilt, _within_covariance(pool), atol=1e-5)
    assert (np.diff(spectrum.eigenvalues.numpy()) <= 0).all()


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_scaling_keeps_the_mean_square_of_responses_to_one_prompt(power):
    """Of the linear features c · diag(λ^{a/2}) Vᵀ x, and of a network's inputs V diag(λ^{a/4}) Vᵀ x."""
    covariance = torch.diag(torch.tensor([5.0, 2.0, 0.5, 0.1], dtype=torch.float64))
    spectrum = WithinPromptSpectrum(4)
    spectrum.learn(covariance)
    spectrum.set_power(power)
    x = torch.diag(covariance.diagonal().sqrt()).float()  # rows with this covariance, times four
    inputs = spectrum(x)
    weight = covariance.diagonal().numpy() ** (power / 2)
    np.testing.assert_allclose((inputs**2).sum(), covariance.trace(), rtol=1e-5)
    ratio = (inputs.diagonal() ** 2 / covariance.diagonal()).numpy()
    np.testing.assert_allclose(ratio / ratio[0], weight / weight[0], rtol=1e-5)
    features = inputs @ spectrum.directions
    expected = covariance.diagonal().numpy() ** (power + 1)
    squares = (features**2).sum(dim=0).numpy()
    np.testing.assert_allclose(
        squares, (expected / expected.sum() * float(covariance.trace()))[: spectrum.kept], rtol=1e-5
    )


def test_directions_are_left_out_that_together_hold_a_thousandth_of_the_prior_variance():
    spectrum = WithinPromptSpectrum(4)
    spectrum.learn(torch.diag(torch.tensor([1.0, 0.1, 0.04, 0.01], dtype=torch.float64)))
    # Shares of the prior variance with a = 1 are λ²: 1, .01, .0016 and .0001 of 1.0117.
    spectrum.set_power(1.0)
    assert spectrum.kept == 3
    spectrum.set_power(2.0)  # λ³: 1, .001, .000064, .000001 of 1.001065
    assert spectrum.kept == 2
    spectrum.set_power(0.0)
    assert spectrum.kept == 4


def test_of_a_large_pool_evenly_spaced_prompts_are_read(monkeypatch):
    random = np.random.default_rng(0)
    pool = brm.ResponsePool(random.normal(size=(80, 3)).astype(np.float32), np.repeat(np.arange(20), 4))
    monkeypatch.setattr("bayesrm.models.spectrum.SPECTRUM_ROWS", 40)
    read = []
    rows = brm.ResponsePool.rows
    monkeypatch.setattr(brm.ResponsePool, "rows", lambda self, at: read.append(at) or rows(self, at))
    standardize, spectrum = Standardize(3), WithinPromptSpectrum(3)
    standardize.fit(pool)
    read.clear()
    spectrum.fit(pool, standardize)
    prompts = [int(at[0]) // 4 for at in read]
    assert prompts == np.linspace(0, 19, 10).round().astype(int).tolist()


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 3.0])
def test_linear_features_mean_a_prior_with_a_power_of_the_covariance(power, monkeypatch):
    """Cov(η) of pairs before any label is proportional to Δᵀ C^a Δ."""
    monkeypatch.setattr("bayesrm.models.spectrum.NEGLIGIBLE", 1e-12)
    pool, _, _ = _world(0, 1, within=0.2)
    model = brm.RewardModel(pool.dim, "linear", inputs="within-prompt", spectrum_power=power, prior_scale=0.7)
    prior = brm.fit(model, pool, brm.Preferences.none())
    pairs = PlainPairs(np.arange(0, 20), np.arange(20, 40))
    got = prior.logit_covariance(pool, pairs, pairs).numpy()
    difference = _standardized(pool)[pairs.first] - _standardized(pool)[pairs.second]
    expected = difference @ _power(_within_covariance(pool), power) @ difference.T
    np.testing.assert_allclose(got / np.trace(got), expected / np.trace(expected), atol=1e-4)


def test_power_zero_is_the_isotropic_model(monkeypatch):
    monkeypatch.setattr("bayesrm.models.spectrum.NEGLIGIBLE", 1e-12)
    pool, _, preferences = _world(1, 120)
    turned = brm.RewardModel(pool.dim, "linear", inputs="within-prompt", spectrum_power=0.0)
    plain = brm.RewardModel(pool.dim, "linear")
    left, right = (brm.fit(model, pool, preferences) for model in (turned, plain))
    assert left.log_evidence == pytest.approx(right.log_evidence, abs=1e-2)
    np.testing.assert_allclose(left.reward(pool), right.reward(pool), atol=0.05)


def test_evidence_finds_that_rewards_follow_the_spectrum():
    gains, errors = [], []
    for seed in range(4):
        pool, golden, preferences = _world(seed, 150, within=0.1, dim=60)
        scaled = brm.fit(brm.RewardModel(pool.dim, "linear", inputs="within-prompt"), pool, preferences)
        plain = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, preferences)
        assert scaled.model.encoder.spectrum.power > 0
        gains.append(scaled.log_evidence - plain.log_evidence)
        errors.append(
            [brm.evaluate(posterior, pool, golden)["one_minus_spearman"] for posterior in (scaled, plain)]
        )
    assert min(gains) > 0
    assert sum(gains) > 8
    assert np.mean(errors, axis=0)[0] < np.mean(errors, axis=0)[1]


def test_noise_does_not_choose_the_power_and_clear_labels_do():
    """Coin flips prefer no power; rewards along the directions of least variance speak against the default."""
    for seed in range(6):
        pool, _, preferences = _world(seed, 60, within=0.3)
        coin = np.random.default_rng(seed).integers(2, size=60).astype(float)
        flipped = brm.Preferences(preferences.first, preferences.second, coin)
        fitted = brm.fit(brm.RewardModel(pool.dim, "linear", inputs="within-prompt"), pool, flipped)
        assert fitted.model.encoder.spectrum.power == DEFAULT_POWER
    values, vectors = np.linalg.eigh(_within_covariance(pool))
    golden = 2 * (_standardized(pool) @ vectors[:, :6] / np.sqrt(values[:6])).sum(axis=1)
    labels = brm.GoldenAnnotator(golden, seed=0).label(brm.candidates(pool, size=400))
    fitted = brm.fit(brm.RewardModel(pool.dim, "linear", inputs="within-prompt"), pool, labels)
    assert fitted.model.encoder.spectrum.power < DEFAULT_POWER


def test_without_prompts_of_two_responses_there_is_no_spectrum():
    rng = np.random.default_rng(0)
    pool = brm.ResponsePool(rng.normal(size=(30, 4)), np.arange(30))
    preferences = brm.Preferences(np.arange(20), np.arange(1, 21), (np.arange(20) % 2).astype(float))
    plain = brm.RewardModel(4, "linear", prior_scale=1.0)
    scaled = brm.RewardModel(4, "linear", inputs="within-prompt", prior_scale=1.0)
    left, right = (brm.fit(model, pool, preferences) for model in (plain, scaled))
    torch.testing.assert_close(left.location, right.location)


# --- prompt intercepts -------------------------------------------------------------------------------------------


def test_intercepts_by_explicit_algebra():
    """A ridge regression of the working responses on features and one-hot prompts gives the same mode."""
    pool, _, preferences = _world(2, 200, across=True)
    model = brm.RewardModel(
        pool.dim, "linear", prior_scale={"features": 0.5, "intercept": 1.5}, prompt_intercept=True
    )
    posterior = brm.fit(model, pool, preferences)
    columns = np.concatenate([_standardized(pool), np.eye(pool.n_prompts)[pool.group]], axis=1)
    z = columns[preferences.first] - columns[preferences.second]
    precision = np.concatenate([np.full(pool.dim, 0.5**-2), np.full(pool.n_prompts, 1.5**-2)])
    beta = posterior.location.numpy()
    assert len(beta) == len(precision), "all prompts occur in comparisons across prompts"
    p = 1 / (1 + np.exp(-z @ beta))
    np.testing.assert_allclose(z.T @ (preferences.outcome - p), precision * beta, atol=1e-6)
    information = z.T @ (z * (p * (1 - p))[:, None]) + np.diag(precision)
    cholesky = posterior.information_cholesky.numpy()
    np.testing.assert_allclose(cholesky @ cholesky.T, information, atol=1e-6)


def test_within_prompts_there_is_no_intercept():
    pool, _, preferences = _world(3, 80)
    with_, without = (
        brm.fit(brm.RewardModel(pool.dim, "linear", prompt_intercept=on), pool, preferences)
        for on in (True, False)
    )
    torch.testing.assert_close(with_.location, without.location)
    assert with_.model.blocks == without.model.blocks


def test_a_hard_prompt_does_not_read_as_a_bad_response():
    errors = []
    for seed in range(6):
        pool, golden, preferences = _world(seed, 250, across=True)
        fits = [
            brm.fit(brm.RewardModel(pool.dim, "linear", prompt_intercept=on), pool, preferences)
            for on in (True, False)
        ]
        assert fits[0].log_evidence > fits[1].log_evidence + 5
        errors.append([brm.evaluate(fit, pool, golden)["one_minus_spearman"] for fit in fits])
    with_, without = np.mean(errors, axis=0)
    assert with_ < without


def test_the_prompts_of_another_pool_are_other_prompts():
    pool, _, preferences = _world(4, 300, across=True)
    posterior = brm.fit(brm.RewardModel(pool.dim, "linear", prompt_intercept=True), pool, preferences)
    other = brm.ResponsePool(pool.embeddings.copy(), pool.prompt)
    member = pool.members[0]
    same = posterior.reward_moments(pool, member).mean, posterior.reward_moments(other, member).mean
    torch.testing.assert_close(same[0] - same[0][0], same[1] - same[1][0])
    first, second = pool.members[0][:1], pool.members[1][:1]
    assert posterior.preference_probability(pool, first, second) != posterior.preference_probability(
        other, first, second
    )


# --- linear beside a network -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_training")
def test_a_network_beside_linear_features_has_a_prior_scale_for_each():
    pool, _, preferences = _world(5, 150)
    posterior = brm.fit(brm.RewardModel(pool.dim, "mlp+linear", hidden=(6, 5)), pool, preferences)
    blocks = posterior.model.blocks
    assert set(posterior.model.prior_scale) == {"mlp", "linear"}
    assert blocks["mlp"] == slice(0, 5)
    for name, scale in posterior.model.prior_scale.items():
        torch.testing.assert_close(
            posterior.prior_precision[blocks[name]], torch.full_like(posterior.location[blocks[name]], scale**-2)
        )
    again = brm.fit(brm.RewardModel(pool.dim, "mlp+linear", hidden=(6, 5)), pool, preferences)
    assert torch.equal(posterior.location, again.location)
    point = brm.fit(brm.RewardModel(pool.dim, "mlp+linear", hidden=(6, 5)), pool, preferences, "plugin")
    torch.testing.assert_close(point.location, posterior.location, atol=1e-6, rtol=1e-6)


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize(("across", "share"), [(False, SHARE_WITHIN), (True, SHARE_ACROSS)])
def test_a_network_and_linear_features_share_the_prior_variance(across, share):
    pool, _, preferences = _world(5, 300, across)
    if across:
        preferences = preferences[pool.group[preferences.first] != pool.group[preferences.second]]
    both = brm.fit(brm.RewardModel(pool.dim, "mlp+linear", hidden=(6, 5)), pool, preferences).model
    linear = brm.fit(brm.RewardModel(pool.dim, "linear", inputs="within-prompt"), pool, preferences).model
    network = brm.fit(brm.RewardModel(pool.dim, "mlp", (6, 5), inputs="within-prompt"), pool, preferences).model
    assert (both.prior_scale["linear"] / linear.prior_scale) ** 2 == pytest.approx(1 - share)
    # The network is trained as it would be alone.
    assert (both.prior_scale["mlp"] / network.prior_scale) ** 2 == pytest.approx(share, rel=0.1)


def test_auto_of_one_block_is_linear_on_its_spectrum_where_that_is_all_there_is():
    pool, _, preferences = _world(6, 200)
    posterior = brm.fit(brm.RewardModel(pool.dim, "auto"), pool, preferences)
    settings = {"inputs": "within-prompt", "spectrum_power": 2.0, "prompt_intercept": True}
    linear = brm.fit(brm.RewardModel(pool.dim, "linear", **settings), pool, preferences)
    assert posterior.model.encoder.name == "layers"
    for of_auto, of_linear in zip(posterior.reward(pool), linear.reward(pool), strict=True):
        np.testing.assert_allclose(of_auto, of_linear, atol=0.02)


def test_auto_is_not_linear_where_rewards_are_not():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(600, 2)).astype(np.float32)
    golden = 4.0 * np.abs(embeddings[:, 0]) - 4.0 * np.abs(embeddings[:, 1])
    first = rng.integers(600, size=1500)
    second = first // 6 * 6 + (first % 6 + rng.integers(1, 6, size=1500)) % 6
    outcome = (rng.random(1500) < 1 / (1 + np.exp(golden[second] - golden[first]))).astype(float)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(100), 6))
    posterior = brm.fit(brm.RewardModel(2, "auto"), pool, brm.Preferences(first, second, outcome))
    assert posterior.model.encoder_name == "layers+kernel+mlp"  # a network, too: rewards fold along two directions
    assert brm.evaluate(posterior, pool, golden)["one_minus_spearman"] < 0.1


# --- hard cases --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["linear", "auto"])
@pytest.mark.parametrize("case", ["none", "one", "separable", "duplicated", "constant"])
def test_hard_cases_are_finite(encoder, case, make_world):
    pool, golden, preferences = _world(7, 60)
    if case == "none":
        preferences = brm.Preferences.none()
    elif case == "one":
        preferences = preferences[:1]
    elif case == "separable":
        outcome = (golden[preferences.first] > golden[preferences.second]).astype(float)
        preferences = brm.Preferences(preferences.first, preferences.second, outcome)
    elif case == "duplicated":
        preferences = preferences[np.zeros(60, dtype=int)]
    else:
        pool = brm.ResponsePool(np.ones((240, 12), np.float32), pool.prompt)
    posterior = brm.fit(brm.RewardModel(12, encoder, hidden=(6,)), pool, preferences)
    mean, sd = posterior.reward(pool)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
    p = posterior.preference_probability(pool, np.arange(20), np.arange(20, 40))
    assert ((p > 0) & (p < 1)).all()
    assert np.isfinite(posterior.entropy())


def test_a_hundred_thousand_features_are_refused_in_words_and_collapsed_ones_can_be_projected():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(12, 2)).astype(np.float32)
    wide = factors @ rng.normal(size=(2, 100_000)).astype(np.float32)
    pool = brm.ResponsePool(wide, np.repeat(np.arange(3), 4))
    preferences = brm.Preferences(np.array([0, 1]), np.array([2, 3]), np.array([1.0, 0.0]))
    with pytest.raises(InvalidInputError, match="at most 16384 features"):
        brm.fit(brm.RewardModel(pool.dim, "linear"), pool, preferences)
    with pytest.raises(InvalidInputError, match="at most 16384 dimensions"):
        brm.RewardModel(pool.dim, "auto")
    small = brm.fit(brm.RewardModel(pool.dim, "mlp", hidden=(4,)), pool, preferences)
    assert np.isfinite(small.reward(pool)[1]).all()


def test_scales_are_asked_for_block_by_block():
    with pytest.raises(InvalidInputError, match="a prior scale for each of the blocks linear, mlp"):
        brm.RewardModel(4, "mlp+linear", prior_scale={"mlp": 1.0})
    with pytest.raises(InvalidInputError, match="unknown inputs 'white'"):
        brm.RewardModel(4, inputs="white")
    with pytest.raises(InvalidInputError, match="spectrum power of at least 0, got -1"):
        brm.RewardModel(4, "linear", inputs="within-prompt", spectrum_power=-1.0)
    with pytest.raises(
        InvalidInputError, match="expected no spectrum_power with encoder 'auto', which has powers of"
    ):
        brm.RewardModel(4, "auto", spectrum_power=1.0, inputs="raw")
    own = brm.RewardModel(4, torch.nn.Linear(4, 2), inputs="within-prompt", spectrum_power=1.0)
    assert own.spectrum_power == 1.0


def test_a_pool_of_few_responses_has_the_spectrum_of_its_covariance():
    """Singular values of the rows, in place of the eigenvalues of a 300 × 300 matrix of rank 15."""
    r = np.random.default_rng(0)
    rows = r.normal(size=(20, 300)) * np.geomspace(1, 0.1, 300)
    pool = brm.ResponsePool(rows.astype(np.float32), np.arange(20) // 4)
    got, wanted = (WithinPromptSpectrum(300) for _ in range(2))
    got.fit(pool, torch.nn.Identity())
    (covariance,) = within_prompt_covariance(pool, torch.nn.Identity(), [slice(0, 300)], torch.device("cpu"))
    wanted.learn(covariance)
    torch.testing.assert_close(got.eigenvalues, wanted.eigenvalues, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(got.rotation[:, :15], wanted.rotation[:, :15], rtol=0, atol=1e-6)
    torch.testing.assert_close(got.rotation.T @ got.rotation, torch.eye(300), rtol=0, atol=1e-5)
    x = torch.from_numpy(pool.embeddings)
    for spectrum in (got, wanted):
        spectrum.set_power(2.0)
    torch.testing.assert_close(got(x) @ got.directions, wanted(x) @ wanted.directions, rtol=0, atol=1e-4)


def test_few_responses_that_do_not_vary_within_prompts_leave_the_embeddings_as_they_are():
    """As with a covariance of zeros."""
    pool = brm.ResponsePool(
        np.repeat(np.random.default_rng(0).normal(size=(5, 300)), 4, axis=0), np.arange(20) // 4
    )
    spectrum = WithinPromptSpectrum(300)
    spectrum.fit(pool, torch.nn.Identity())
    assert not spectrum.informative
