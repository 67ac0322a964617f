"""Each check against a closed form or a simulation with known truth, and against a posterior that is wrong."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import xarray as xr
from scipy.stats import beta as beta_distribution
from scipy.stats import binom, kstest, norm

import bayesrm as brm
from bayesrm.diagnostics.arviz_lines import _legacy, effective_draws, load_arviz, psis, r_hat
from bayesrm.diagnostics.convergence import convergence
from bayesrm.diagnostics.coverage import coverage, coverage_verdict, golden_pit
from bayesrm.diagnostics.distance import distance, sliced_wasserstein
from bayesrm.diagnostics.draws import flat, quantities
from bayesrm.diagnostics.feature_rank import spectrum
from bayesrm.diagnostics.importance import good_k, importance_weights, pareto_k, weighted_moments
from bayesrm.diagnostics.reliability import reliability, reliability_verdict
from bayesrm.diagnostics.sbc import _pit, calibration_verdict, simulate_calibration
from bayesrm.diagnostics.sensitivity import cjs_distance, power_sensitivity, sensitivity
from bayesrm.diagnostics.uniformity import uniform_band
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.evaluation.metrics import expected_calibration_error
from bayesrm.inference.laplace import Laplace
from bayesrm.inference.nuts import Nuts
from bayesrm.utils.factors import DenseFactor


def make_tree(beta: np.ndarray, inference: str = "laplace", **stats: np.ndarray) -> xr.DataTree:
    """A tree of (chain, draw, feature) draws with statistics (chain, draw)."""
    coordinates = {"chain": np.arange(beta.shape[0]), "draw": np.arange(beta.shape[1])}
    posterior = xr.Dataset({"beta": (("chain", "draw", "feature"), beta)}, coordinates)
    sample_stats = xr.Dataset({name: (("chain", "draw"), value) for name, value in stats.items()}, coordinates)
    tree = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": sample_stats})
    tree.attrs["inference"] = inference
    return tree


# --- Pareto k̂ ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_k_recovers_the_shape_of_a_pareto_tail(k):
    estimates = []
    for seed in range(20):
        ratio = np.random.default_rng(seed).pareto(1 / k, 4000) + 1
        smoothed, estimate = psis(np.log(ratio) + 7.0)
        assert np.exp(smoothed).sum() == pytest.approx(1)
        estimates.append(estimate)
    # The estimator has a weakly informative prior that pulls k̂ towards ½ by at most 10 / (M + 10), M = 190 tail draws.
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - k) < 4 * error + abs(0.5 - k) * 10 / 200


def test_reweighted_moments_are_those_of_the_exact_density():
    draws = np.random.default_rng(0).standard_normal((20_000, 1))
    weight, k = importance_weights(norm.logpdf(draws[:, 0], 0.3, 0.9) + 5, norm.logpdf(draws[:, 0]))
    mean, sd = weighted_moments(draws, weight)
    error = 1 / np.sqrt(1 / (weight**2).sum())
    assert k < good_k(20_000) == 0.7
    assert abs(mean[0] - 0.3) < 4 * 0.9 * error
    assert abs(sd[0] - 0.9) < 4 * 0.9 * error / np.sqrt(2)


def test_k_tells_a_close_approximation_from_a_narrow_one():
    noise = np.random.default_rng(1).standard_normal((1, 2000, 5))
    exact = -0.5 * (noise**2).sum(axis=2)
    near = pareto_k(make_tree(noise, log_p=exact, log_q=norm.logpdf(noise, 0.05, 1.02).sum(axis=2)))
    assert near.status == "good"
    # Draws of sd ½: the ratio exp(3z²/8) has k = 3/4 on one axis, and is heavier before the limit on five.
    narrow = pareto_k(make_tree(0.5 * noise, log_p=exact / 4, log_q=exact))
    assert narrow.status == "bad"
    assert "use inference='nuts'" in narrow.sentence
    assert np.isnan(narrow.data["corrected_mean"]).all()
    shifted = pareto_k(make_tree(noise, log_p=norm.logpdf(noise, 0.4).sum(axis=2), log_q=exact))
    assert shifted.status == "note"
    shift = ((shifted.data["corrected_mean"] - 0.4) / shifted.data["shift_error"]).values
    # shift_error is of corrected − plain mean; the plain mean has an error too.
    assert (np.abs(shift) < 4 + 4 / np.sqrt(2000) / shifted.data["shift_error"].values).all()


def test_one_nuisance_parameter_that_is_far_off_is_named_among_many_weights_that_are_not():
    random = np.random.default_rng(4)
    beta, log_slope = random.standard_normal((1, 4000, 50)), random.standard_normal((1, 4000, 2))
    tree = make_tree(
        beta,
        log_p=norm.logpdf(log_slope[..., 0], 0.0, 0.4) + norm.logpdf(log_slope[..., 1]),
        log_q=norm.logpdf(log_slope).sum(axis=2),
    )
    slopes = xr.Dataset({"temperature": (("chain", "draw", "annotator"), np.exp(log_slope))})
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().merge(slopes))
    found = pareto_k(tree)
    assert found.status == "note"
    assert "close to the exact one" in found.sentence
    assert "but not in temperature[0]: it has mean 1.6" in found.sentence
    exact_mean, exact_sd = np.exp(0.08), np.exp(0.08) * np.sqrt(np.exp(0.16) - 1)
    at = found.data.sel(quantity="temperature[0]")
    assert float(at["corrected_mean"]) == pytest.approx(exact_mean, rel=0.05)
    assert float(at["corrected_sd"]) == pytest.approx(exact_sd, rel=0.1)


def test_k_of_the_posterior_itself_and_of_none():
    noise = np.random.default_rng(2).standard_normal((1, 500, 2))
    density = -0.5 * (noise**2).sum(axis=2)
    same = pareto_k(make_tree(noise, log_p=density, log_q=density + 1e-9 * noise[..., 0]))
    assert (float(same.data["k"]), same.status) == (0.0, "good")
    assert pareto_k(make_tree(noise, lp=density)).status == "skipped"
    assert pareto_k(make_tree(noise[:, :1], log_p=density[:, :1], log_q=density[:, :1])).status == "skipped"
    with pytest.raises(InvalidInputError, match="finite log_p and log_q, got 1 of 500"):
        pareto_k(make_tree(noise, log_p=density, log_q=np.where(density == density.max(), -np.inf, density)))


def test_effective_draws_and_the_error_of_a_shift_by_hand():
    noise = np.random.default_rng(3).standard_normal((1, 400, 2))
    log_p, log_q = norm.logpdf(noise, 0.3, 0.9).sum(axis=2), norm.logpdf(noise).sum(axis=2)
    data = pareto_k(make_tree(noise, log_p=log_p, log_q=log_q)).data
    weight, k = importance_weights(log_p[0], log_q[0])
    assert float(data["k"]) == k
    assert float(data["effective_draws"]) == pytest.approx(1 / sum(w * w for w in weight))
    for quantity in range(2):
        column = noise[0, :, quantity]
        mean = sum(column) / 400
        # The variance of Σ (w − 1/S) (x − mean), which is what was corrected, less its expectation.
        variance = sum((w - 1 / 400) ** 2 * (x - mean) ** 2 for w, x in zip(weight, column, strict=True))
        assert float(data["shift_error"][quantity]) == pytest.approx(np.sqrt(variance))
        assert float(data["corrected_mean"][quantity]) == pytest.approx(sum(weight * column))
    # min(1 − 1/log₁₀ S, 0.7)
    assert [good_k(count) for count in (10, 100, 1000, 10_000)] == pytest.approx([0, 0.5, 2 / 3, 0.7])


# --- uniformity ---------------------------------------------------------------------------------------------


def test_the_band_holds_as_often_as_it_says_and_not_for_other_distributions():
    generator = np.random.default_rng(3)
    band = uniform_band(150, 0.95, generator)
    samples = generator.random((3000, 150))
    held = np.mean([band.holds(sample) for sample in samples])
    # Both the band, from 4,000 simulations, and this frequency, from 3,000, have an error; counts are discrete.
    assert abs(held - 0.95) < 4 * np.sqrt(0.95 * 0.05 * (1 / 3000 + 1 / 4000)) + 0.005
    p_values = np.array([band.p_value(sample) for sample in samples[:1000]])
    for level in (0.1, 0.5):
        assert abs((p_values <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 1000) + 0.02
    for a, b in ((2, 2), (0.5, 0.5), (1, 1.5)):
        assert not band.holds(generator.beta(a, b, 150))
        assert band.p_value(generator.beta(a, b, 150)) < 0.01


def test_the_band_is_the_same_from_either_end_and_no_p_value_is_zero():
    """1 − u is as uniform as u: counts of values above a point are distributed as those below its mirror image."""
    band = uniform_band(60, 0.9, np.random.default_rng(4))
    # A count of values ≤ z and one of values ≥ 1 − z; both ends of the band are counts.
    np.testing.assert_allclose(band.lower, 1 - band.upper[::-1], atol=1e-12)
    np.testing.assert_allclose(band.tail, band.tail[::-1, ::-1], rtol=1e-9)
    counts = np.arange(61)
    for point in (0, 17, 58):
        z = band.points[point]
        probability = binom.pmf(counts, 60, z)
        for count in (0, 5, 30):
            both = 2 * min(probability[: count + 1].sum(), probability[count:].sum())
            assert band.tail[count, point] == pytest.approx(both)
    assert band.p_value(np.zeros(60)) == 1 / (1 + len(band.strayed))


# --- simulation-based calibration ----------------------------------------------------------------------------


SHORT = 50
"""Data sets for NUTS, which takes a quarter of a second for each."""


class HalfCovariance(Laplace):
    """Laplace with its covariance halved: what a calibration check has to notice."""

    name = "half-covariance"

    def fit(self, *arguments):
        posterior = super().fit(*arguments)
        broken = (
            DenseFactor(part * 2**0.5) for part in (posterior.information_cholesky, posterior.joint_cholesky)
        )
        information, joint = broken
        return replace(posterior, information=information, joint=joint)


@pytest.fixture(scope="module")
def asked():
    """A pool of dimension 10, and 300 pairs of it."""
    generator = np.random.default_rng(4)
    pool = brm.ResponsePool(generator.standard_normal((200, 10)).astype(np.float32), np.repeat(np.arange(40), 5))
    return pool, brm.candidates(pool, "cross-prompt", size=300, seed=0)


@pytest.fixture(scope="module")
def model():
    return brm.RewardModel(10, encoder="linear", prior_scale=0.3)


INFERENCES = {
    "laplace": ("laplace", 150, 199),
    "broken": (HalfCovariance(), 150, 199),
    "nuts": (Nuts(chains=1, draws=28, warmup=20), SHORT, 14),
}
"""What is simulated with, how often, and the draws among which truth is ranked: every other one of a chain."""


@pytest.fixture(scope="module")
def simulated(asked, model):
    return {name: simulate_calibration(model, *asked, *settings) for name, settings in INFERENCES.items()}


def test_laplace_is_calibrated_and_half_its_covariance_is_not(simulated):
    good = calibration_verdict(simulated["laplace"], "Laplace")
    assert good.status == "good", good.sentence
    assert good.data.sizes["quantity"] == 20
    bad = calibration_verdict(simulated["broken"], "broken")
    assert bad.status == "bad"
    assert "too narrow" in bad.sentence
    assert float(bad.data["p_value"].median()) < 0.05


def test_nuts_is_calibrated_by_as_many_data_sets_as_show_that_half_a_covariance_is_not(simulated):
    good = calibration_verdict(simulated["nuts"], "NUTS")
    assert good.status == "good", good.sentence
    fewer = xr.DataTree.from_dict(
        {"prior_sbc": simulated["broken"]["prior_sbc"].to_dataset().isel(draw=slice(SHORT))}
    )
    assert calibration_verdict(fewer, "broken").status == "bad"


@pytest.mark.parametrize(
    ("name", "expected"), [("laplace", 0.9), ("broken", 2 * norm.cdf(1.6449 * 0.5**0.5) - 1), ("nuts", 0.9)]
)
def test_coverage_in_simulated_data(simulated, name, expected):
    pit = quantities(simulated[name], "prior_sbc").values[0]
    data = coverage(pit.reshape(-1), np.repeat(np.arange(len(pit)), pit.shape[1]))
    at = data.sel(level=0.9)
    # Laplace's own error at 300 comparisons on 10 features is below 1.5 points of coverage.
    assert abs(float(at["coverage"]) - expected) < 4 * float(at["error"]) + 0.015
    verdict = coverage_verdict("coverage", name, data, "of all")
    assert verdict.status == ("bad" if name == "broken" else "good")
    if name == "broken":
        assert re.match(r"The broken intervals are too narrow: 90% intervals cover 7\d\.\d% ± ", verdict.sentence)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_place_of_one_more_draw_among_few_is_uniform(count):
    """(rank + u) / (L + 1), also for a handful of draws, where a wrong denominator shows."""
    generator = np.random.default_rng(5)
    places = _pit(generator.standard_normal(4000), generator.standard_normal((count, 4000)), generator)
    assert kstest(places, "uniform").pvalue > 1e-3
    assert 0 <= places.min() < places.max() < 1


def test_ranks_are_in_the_layout_that_arviz_reads(simulated):
    ranks = simulated["laplace"]["prior_sbc"]
    assert ranks["beta"].dims[:2] == ("chain", "draw")
    assert ranks["beta"].shape == (1, 150, 10)
    assert ranks["logit"].shape == (1, 150, 10)
    assert 0 < float(ranks["beta"].min()) < float(ranks["beta"].max()) < 1


def test_replications_do_not_depend_on_processes_or_on_their_number(asked, model, simulated):
    again = simulate_calibration(model, *asked, "laplace", 4, workers=2)
    assert again["prior_sbc"]["beta"].equals(simulated["laplace"]["prior_sbc"]["beta"][:, :4])
    other = simulate_calibration(model, *asked, "laplace", 4, seed=1)
    assert not other["prior_sbc"]["beta"].equals(again["prior_sbc"]["beta"])


def position_bias(features, first, second, outcome=None):
    weights = pyro.sample("beta", dist.Normal(0.0, 0.5).expand([features.shape[-1]]).to_event(1))
    bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
    reward = features @ weights.to(features)
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second] + bias), obs=outcome)


def test_nuisance_parameters_are_ranked_too(asked):
    program = brm.RewardModel(10, encoder="linear", program=position_bias)
    tree = simulate_calibration(program, *asked, "laplace", 25)
    assert tree["prior_sbc"]["bias"].shape == (1, 25)
    verdict = calibration_verdict(tree, "Laplace")
    assert verdict.status == "note", verdict.sentence
    assert "25 are few" in verdict.sentence


def test_simulation_refuses_what_it_cannot_do(asked, model):
    with pytest.raises(InvalidInputError, match="every prior scale fixed, got prior_scale=None"):
        simulate_calibration(brm.RewardModel(10, "linear"), *asked)
    with pytest.raises(InvalidInputError, match="at least one replication, draw and pair, got 0"):
        simulate_calibration(model, *asked, replications=0)
    with pytest.raises(CapabilityError, match="PointPosterior has none"):
        simulate_calibration(model, *asked, "plugin", 1)
    with pytest.raises(CapabilityError, match="choices among several"):
        simulate_calibration(model, asked[0], brm.Preferences.from_rankings([[0, 1, 2]]), "laplace", 1)


# --- coverage and calibration against golden rewards ------------------------------------------------------------


def test_coverage_counts_clusters_not_values():
    generator = np.random.default_rng(5)
    pit = generator.random(400)
    alone = coverage(pit, np.arange(400))
    np.testing.assert_allclose(alone["coverage"], alone["level"], atol=4 * 0.025)
    expected = np.sqrt(alone["coverage"] * (1 - alone["coverage"]) / 399)
    np.testing.assert_allclose(alone["error"], expected)
    repeated = coverage(np.repeat(pit, 7), np.repeat(np.arange(400), 7))
    np.testing.assert_allclose(repeated["error"], alone["error"])
    one = coverage_verdict("coverage", "any", coverage(pit[:9], np.zeros(9, np.int64)), "of all")
    assert one.status == "note"


@pytest.mark.parametrize(("cases", "status"), [(5, "note"), (20, "note"), (50, "note"), (400, "good")])
def test_intervals_are_called_right_only_where_a_gap_would_show(cases, status):
    """Places of truths that are as they should be, spread evenly: only their number differs."""
    data = coverage((np.arange(cases) + 0.5) / cases, np.arange(cases))
    finding = coverage_verdict("coverage", "any", data, "of all")
    assert finding.status == status, finding.sentence
    if status == "note":
        # All of five lie inside: that says no more of intervals that are too wide than five of them can.
        shows = 300 * max(float(data.sel(level=0.9)["error"]), (0.9 * 0.1 / cases) ** 0.5)
        few = (
            f"but {cases} independent cases are few: only gross errors, of {shows:.0f} points or more, would show."
        )
        assert finding.sentence.endswith(f"of all, {few}")


def test_wide_errors_do_not_make_intervals_right():
    """61.5% of 90% intervals, give or take 20.1%, was called about as wide as it should be."""
    clusters = np.repeat(np.arange(5), [4, 3, 2, 2, 2])
    inside = np.repeat([1, 0, 1, 0, 1], [4, 3, 2, 2, 2])
    data = coverage(np.where(inside == 1, 0.5, 0.99), clusters)
    finding = coverage_verdict("coverage", "any", data, "of all")
    assert 3 * float(data.sel(level=0.9)["error"]) > 0.9 - float(data.sel(level=0.9)["coverage"]) > 0.25
    assert (finding.status, "5 independent cases are few" in finding.sentence) == ("note", True)


def test_a_gap_of_some_points_within_its_error_is_no_praise():
    """344 of 400 hold it, 4 points too few: that is no gap for certain, and nobody can say that there is none."""
    pit = np.full(400, 0.5)
    pit[:56] = 0.99
    data = coverage(pit, np.arange(400))
    assert coverage_verdict("coverage", "any", data, "of all").status == "note"


def test_the_prior_covers_rewards_drawn_from_it():
    generator = np.random.default_rng(6)
    embeddings = generator.standard_normal((3000, 4)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(600), 5))
    prior = brm.fit(brm.RewardModel(4, "linear", prior_scale=0.7), pool, brm.Preferences.none())
    covered = []
    for seed in range(60):
        weights = 0.7 * np.random.default_rng(seed).standard_normal(4)
        golden = prior.features(pool).numpy() @ weights / 2.0
        pit, prompt = golden_pit(prior, pool, golden, temperature=2.0, draws=200, seed=seed, unexplained=False)
        assert len(np.unique(prompt)) == 600
        covered.append(float(coverage(pit, prompt).sel(level=0.9)["coverage"]))
    assert abs(np.mean(covered) - 0.9) < 4 * np.std(covered, ddof=1) / np.sqrt(60)
    few, _ = golden_pit(prior, pool, golden, temperature=2.0, draws=2, seed=1)
    assert kstest(few, "uniform").statistic < 0.5
    assert 0 <= few.min() < few.max() < 1, "the place among two draws and the truth"
    lonely = brm.ResponsePool(embeddings[:3], np.arange(3))
    with pytest.raises(InvalidInputError, match="two responses to one prompt"):
        golden_pit(prior, lonely, np.zeros(3))


def answers(sharpness: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted probabilities of logits multiplied by a sharpness, hard answers, and clusters of 20."""
    generator = np.random.default_rng(7)
    logit = generator.normal(0, 1.5, count)
    hard = (generator.random(count) < 1 / (1 + np.exp(-logit))).astype(float)
    return 1 / (1 + np.exp(-sharpness * logit)), hard, np.arange(count) // 20


@pytest.mark.parametrize(
    ("sharpness", "status", "word"),
    [(1.0, "good", "mean what they say"), (2.0, "bad", "overconfident"), (0.4, "bad", "underconfident")],
)
def test_reliability_finds_over_and_underconfidence(sharpness, status, word):
    data = reliability(*answers(sharpness))
    verdict = reliability_verdict(data, "pairs")
    assert verdict.status == status
    assert word in verdict.sentence
    assert float(data["ece"]) == expected_calibration_error(*answers(sharpness)[:2])
    if status == "good":
        assert abs(float(data["overconfidence"])) < 4 * float(data["overconfidence_error"])
        inside = (data["lower"] <= data["predicted"]) & (data["predicted"] <= data["upper"])
        assert int(inside.sum()) >= 13


def test_errors_of_calibration_are_those_of_repeated_experiments():
    probability, _, cluster = answers(1.0, 2000)
    generator = np.random.default_rng(8)
    repeated = [
        reliability(probability, (generator.random(2000) < probability).astype(float), cluster) for _ in range(60)
    ]
    for name, error in (("overconfidence", "overconfidence_error"), ("ece", "ece_error")):
        observed = np.std([float(data[name]) for data in repeated], ddof=1)
        stated = np.mean([float(data[error]) for data in repeated])
        # Of a standard deviation of 60 values: 9%. The bootstrap of an error that is all chance overstates a little.
        assert stated == pytest.approx(observed, rel=0.45)
    by_chance = [float(data["ece_by_chance"]) for data in repeated]
    eces = [float(data["ece"]) for data in repeated]
    assert abs(np.mean(eces) - np.mean(by_chance)) < 4 * np.std(eces) / np.sqrt(60) + 0.1 * np.mean(eces)


def test_intervals_of_hard_answers_are_jeffreys_and_of_probabilities_bootstrapped():
    data = reliability(np.full(40, 0.95), np.r_[np.ones(37), np.zeros(3)], np.arange(40) % 4)
    top = data.isel(bin=-1)
    assert float(top["pairs"]) == 40
    assert float(top["observed"]) == 37 / 40
    np.testing.assert_allclose(
        [top["lower"], top["upper"]], beta_distribution.ppf([0.025, 0.975], 37.5, 3.5), rtol=1e-12
    )
    assert float(data["confidence"]) == pytest.approx(0.95)
    assert float(data["overconfidence"]) == pytest.approx(0.95 - 37 / 40)
    # One bin and its mirror image: E|N(0, v)| = √(2v/π) with v = 40 · 0.95 · 0.05 in each, over 80 values.
    assert float(data["ece_by_chance"]) == pytest.approx(2 * np.sqrt(2 / np.pi * 40 * 0.95 * 0.05) / 80)
    soft = reliability(np.full(40, 0.95), np.full(40, 0.9), np.arange(40) % 4)
    assert float(soft["ece"]) == pytest.approx(0.05)
    assert float(soft["ece_error"]) == pytest.approx(0, abs=1e-12)
    assert float(soft["ece_by_chance"]) == 0
    np.testing.assert_allclose([soft.isel(bin=-1)["lower"], soft.isel(bin=-1)["upper"]], 0.9)


# --- chains, sensitivity, rank, distance ------------------------------------------------------------------------


def test_convergence_of_chains():
    generator = np.random.default_rng(9)
    chains = generator.standard_normal((4, 500, 2))
    quiet = np.zeros((4, 500), bool)
    good = convergence(make_tree(chains, "nuts", diverging=quiet))
    assert good.status == "good", good.sentence
    assert good.sentence.startswith("The chains have mixed: R̂ at most 1.0")
    apart = convergence(make_tree(chains + np.arange(4)[:, None, None], "nuts", diverging=quiet))
    assert apart.status == "bad"
    assert float(apart.data["r_hat"].max()) > 1.1
    quiet[2, 17] = True
    assert "1 divergence" in convergence(make_tree(chains, "nuts", diverging=quiet)).sentence
    alone = convergence(make_tree(chains[:1], energy=chains[:1, :, 0]))
    assert "one chain does not exist" in alone.sentence
    assert convergence(make_tree(chains[:1])).status == "skipped"
    assert r_hat(chains[..., 0]) == pytest.approx(1, abs=0.01)
    # An AR(1) chain of correlation ½ has (1 − ½) / (1 + ½) of its draws.
    walk = np.zeros((4, 4000))
    noise = generator.standard_normal(walk.shape)
    for t in range(1, 4000):
        walk[:, t] = 0.5 * walk[:, t - 1] + noise[:, t]
    assert effective_draws(walk) == pytest.approx(16_000 / 3, rel=0.12)
    assert effective_draws(walk, "tail") > 1000


def test_cjs_distance_against_a_loop():
    generator = np.random.default_rng(10)
    draws, p, q = generator.standard_normal(12), generator.dirichlet(np.ones(12)), generator.dirichlet(np.ones(12))
    order = np.argsort(draws)
    top = bottom = 0.0
    for k in range(11):
        width = draws[order[k + 1]] - draws[order[k]]
        P, Q = p[order[: k + 1]].sum(), q[order[: k + 1]].sum()
        top += width * (P * np.log2(2 * P / (P + Q)) + Q * np.log2(2 * Q / (P + Q)))
        bottom += width * (P + Q)
    assert cjs_distance(draws[:, None], p, q)[0] == pytest.approx(np.sqrt(top / bottom))
    assert cjs_distance(draws[:, None], p, p)[0] == 0


@pytest.mark.skipif(not _legacy(), reason="psens is of ArviZ 0.23")
def test_power_scaling_agrees_withload_arviz():
    az = load_arviz()
    generator = np.random.default_rng(11)
    draws = generator.normal(1.0, 0.5, (4, 300))
    prior = norm.logpdf(draws)
    data = az.InferenceData(
        posterior=xr.Dataset({"x": (("chain", "draw"), draws)}),
        log_prior=xr.Dataset({"x": (("chain", "draw"), prior)}),
    )
    expected = float(az.psens(data, component="prior")["x"])
    ours = power_sensitivity(draws.reshape(-1, 1), prior.reshape(-1), np.zeros(1200))
    assert ours[0] == pytest.approx(expected, rel=1e-6)


def test_power_scaling_is_the_same_for_a_quantity_and_its_negative():
    """Of a skewed quantity the distance of x and that of −x differ, and the larger one counts."""
    generator = np.random.default_rng(15)
    draws = generator.gamma(1.5, size=(500, 1))
    component = np.log(draws[:, 0]) - draws[:, 0]
    ours = power_sensitivity(draws, component, np.zeros(500))
    assert power_sensitivity(-draws, component, np.zeros(500)) == pytest.approx(ours)
    one_way = []
    for sign in (1, -1):
        total = 0.0
        for power in (1 / 1.01, 1.01):
            scaled = np.exp(psis((power - 1) * component)[0])
            total += cjs_distance(sign * draws, np.full(500, 1 / 500), scaled)[0]
        one_way.append(total / (2 * np.log2(1.01)))
    assert one_way[0] != pytest.approx(one_way[1], rel=0.01)
    assert ours[0] == pytest.approx(max(one_way), rel=0.02)


def test_sensitivity_names_what_matters():
    """A Normal mean: prior N(0, 1), labels that say N(m, s²); the posterior is known, and so what moves it."""
    generator = np.random.default_rng(12)

    def finding(mean: float, sd: float):
        precision = 1 + sd**-2
        beta = generator.normal(mean * sd**-2 / precision, precision**-0.5, (1, 4000, 1))
        prior, likelihood = norm.logpdf(beta[..., 0]), norm.logpdf(beta[..., 0], mean, sd)
        tree = make_tree(beta, "nuts", lp=prior + likelihood, energy=-prior - likelihood)
        tree["log_prior"] = xr.DataTree(xr.Dataset({"beta": (("chain", "draw"), prior)}))
        return sensitivity(tree)

    assert finding(0.3, 0.05).status == "good"
    without_density = make_tree(generator.standard_normal((1, 100, 1)), "ensemble")
    assert sensitivity(without_density).status == "skipped"
    conflict = finding(5.0, 1.0)
    assert (conflict.status, "apart" in conflict.sentence) == ("note", True)
    weak = finding(0.0, 30.0)
    assert (weak.status, "says more than the labels" in weak.sentence) == ("note", True)
    assert float(weak.data["prior"][0]) > 0.05 > float(weak.data["likelihood"][0])


def test_sensitivity_of_an_approximation_is_that_of_the_exact_posterior(laplace):
    """Draws of q, reweighted, must say what draws of the posterior say."""
    tree = laplace.to_datatree(8000, log_likelihood=True)
    assert sensitivity(tree).status in ("good", "note")
    draws = flat(quantities(tree))
    prior = tree["log_prior"]["beta"].values.ravel()
    stats = tree["sample_stats"]
    weight, _ = importance_weights(stats["log_p"].values.ravel(), stats["log_q"].values.ravel())
    resampled = np.random.default_rng(13).choice(len(draws), len(draws), p=weight)
    direct = power_sensitivity(draws[resampled], prior[resampled], np.zeros(len(draws)))
    # Resampling adds noise of about 1/√8000 to distribution functions that sensitivities of 0.1 compare.
    np.testing.assert_allclose(sensitivity(tree).data["prior"], direct, atol=0.02)


def test_effective_ranks_of_known_spectra():
    axes = np.vstack([np.eye(5), -np.eye(5)])
    round_cloud = spectrum(axes + 3.0)
    for name in ("participation_ratio", "entropy_rank", "numerical_rank"):
        assert float(round_cloud[name]) == pytest.approx(5)
    line = spectrum(np.outer(np.arange(9.0), np.ones(4)))
    assert [float(line[name]) for name in ("participation_ratio", "numerical_rank")] == pytest.approx([1, 1])
    eigenvalues = np.array([4.0, 1.0, 1.0])
    known = spectrum(np.vstack([np.diag(np.sqrt(eigenvalues)), -np.diag(np.sqrt(eigenvalues))]))
    assert float(known["participation_ratio"]) == pytest.approx(36 / 18)
    share = eigenvalues / 6
    assert float(known["entropy_rank"]) == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    nothing = spectrum(np.ones((4, 3)))
    assert [float(nothing[name]) for name in ("participation_ratio", "entropy_rank", "numerical_rank")] == [
        0,
        0,
        0,
    ]


def test_distance_to_a_reference():
    generator = np.random.default_rng(14)
    exact, near = generator.standard_normal((2, 4, 1000, 3))
    one = np.ones((1, 1))
    z = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    assert sliced_wasserstein(z + 0.3, z, one) == pytest.approx(0.3, rel=1e-3)
    assert sliced_wasserstein(1.5 * z, z, one) == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=0.01)
    assert sliced_wasserstein(30 * z + 9, 10 * z + 9, one) == pytest.approx(2 * np.sqrt(2 / np.pi), rel=0.01)

    reference = make_tree(exact, "nuts")
    same = distance(make_tree(near), reference)
    assert same.status == "good"
    assert (np.abs(same.data["mean_shift"]) < 4 * same.data["shift_error"]).all()
    assert (np.abs(same.data["sd_ratio"] - 1) < 4 * same.data["ratio_error"]).all()
    assert float(same.data["sliced_wasserstein"]) < 2 * float(same.data["sliced_wasserstein_floor"])
    narrow = distance(make_tree(near * 0.7), reference)
    assert narrow.status == "bad"
    assert "far from the reference (NUTS)" in narrow.sentence
    np.testing.assert_allclose(narrow.data["sd_ratio"], 0.7, atol=0.1)
    with pytest.raises(InvalidInputError, match="same quantities, got 2 and 3"):
        distance(make_tree(near[..., :2]), reference)
    with pytest.raises(InvalidInputError, match="with draws, got 1"):
        distance(make_tree(near[:1, :1]), reference)


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.8])
def test_errors_of_a_distance_are_those_of_repeated_experiments(scale):
    """In units of what is stated, mean shifts and ratios of sds vary with a standard deviation of 1."""
    generator = np.random.default_rng(16)
    shifts, ratios = [], []
    for _ in range(25):
        ours, exact = scale * generator.standard_normal((1, 60, 12)), generator.standard_normal((1, 300, 12))
        data = distance(make_tree(ours), make_tree(exact, "nuts")).data
        shifts.append(data["mean_shift"] / data["shift_error"])
        ratios.append((data["sd_ratio"] - scale) / data["ratio_error"])
    # 300 values each: a standard deviation is good to 4%; effective draws are estimates, and vary.
    assert np.std(shifts) == pytest.approx(1, abs=0.17)
    assert np.std(ratios) == pytest.approx(1, abs=0.17)
