"""Annotators of different reliability: pooling, nobody in particular, and what is recovered of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

import bayesrm as brm
from bayesrm.inference.nuts import Nuts
from bayesrm.models.context import Context
from bayesrm.models.likelihoods.annotator_flips import AnnotatorFlips
from bayesrm.models.likelihoods.annotators import Annotators
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.flips import Flips

ETA = torch.linspace(-4, 4, 9, dtype=torch.float64)
CODES = torch.tensor([0, 1, 2, -1, 0, 1, 2, -1, 0])
CONTEXT = Context(CODES, ("ann", "bob", "cy"))
TEMPERATURE = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
RATE = torch.tensor([0.01, 0.2, 0.45], dtype=torch.float64)


def test_each_comparison_has_the_temperature_of_its_annotator():
    likelihood = Annotators().given({"temperature": TEMPERATURE}, CONTEXT)
    own = torch.cat([TEMPERATURE, torch.ones(1).double()])[CODES]
    torch.testing.assert_close(likelihood.probability(ETA), torch.sigmoid(ETA * own))
    torch.testing.assert_close(likelihood.fisher_weight(ETA), BradleyTerry().fisher_weight(ETA * own) * own**2)


def test_each_comparison_has_the_flip_rate_of_its_annotator():
    likelihood = AnnotatorFlips().given({"rate": torch.tensor(0.1), "annotator_rate": RATE}, CONTEXT)
    for k, rate in enumerate([*RATE.tolist(), 0.1]):
        mine = (k if k < 3 else -1) == CODES
        expected = Flips(rate).probability(ETA[mine])
        torch.testing.assert_close(likelihood.probability(ETA)[mine], expected)


@pytest.mark.parametrize(
    "bound",
    [
        Annotators().given({"temperature": TEMPERATURE}, CONTEXT),
        AnnotatorFlips().given({"rate": torch.tensor(0.1).double(), "annotator_rate": RATE}, CONTEXT),
    ],
    ids=["annotators", "annotator-flips"],
)
@pytest.mark.parametrize("outcome", [0.0, 1.0, 0.3])
def test_closed_forms_with_annotators_are_the_derived_ones(bound, outcome):
    base, y = brm.Likelihood, torch.full_like(ETA, outcome)
    for got, expected in zip(bound.derivatives(ETA, y), base.derivatives(bound, ETA, y), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(bound.fisher_weight(ETA), base.fisher_weight(bound, ETA), rtol=1e-9, atol=1e-12)
    variance = torch.full_like(ETA, 0.8)
    for name in ("expected_probability", "expected_fisher_weight"):
        got, expected = getattr(bound, name)(ETA, variance), getattr(base, name)(bound, ETA, variance)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-7)


def test_nobody_in_particular_is_the_typical_annotator():
    for likelihood, typical in (
        (Annotators().given({"temperature": TEMPERATURE}), BradleyTerry()),
        (AnnotatorFlips().given({"rate": torch.tensor(0.1).double(), "annotator_rate": RATE}), Flips(0.1)),
    ):
        torch.testing.assert_close(likelihood.probability(ETA), typical.probability(ETA))


def test_comparisons_without_an_annotator_among_others(world):
    """Preferences.append fills a missing annotator with the empty string: that is nobody, not one more annotator."""
    given = world.preferences
    named = brm.Preferences(given.first, given.second, given.outcome, np.where(given.first % 2, "ann", "bob"))
    mixed = named.append(given[:30])
    context = Context.of(mixed, torch.device("cpu"))
    assert context.annotators == ("ann", "bob")
    assert context.annotator[-30:].tolist() == [-1] * 30
    assert (context.annotator[: len(named)] >= 0).all()
    fitted = brm.fit(brm.RewardModel(world.pool.dim, encoder="linear", likelihood="annotators"), world.pool, mixed)
    posterior = fitted.to_datatree(draws=10)["posterior"]
    assert posterior["temperature"].dims == ("chain", "draw", "annotator")
    assert posterior["annotator"].values.tolist() == ["ann", "bob"]


def test_few_answers_are_pooled(make_world):
    """Whoever answered little is believed to be like the others: the less is known, the closer to the typical rate."""
    world = make_world(seed=3, comparisons=1200, spread=2.0)
    annotator = np.where(np.arange(1200) < 1194, np.where(np.arange(1200) % 2, "ann", "bob"), "new")
    given = world.preferences
    wrong = np.where(
        annotator == "new", 1 - (world.golden[given.first] > world.golden[given.second]), given.outcome
    )
    model = brm.RewardModel(world.pool.dim, encoder="linear", likelihood="annotator-flips", prior_scale=0.3)
    fitted = brm.fit(model, world.pool, brm.Preferences(given.first, given.second, wrong, annotator))
    effect = fitted.to_datatree(draws=2000)["posterior"]["annotator_effect"].std(("chain", "draw"))
    rate = fitted.to_datatree(draws=2000)["posterior"]["annotator_rate"].mean(("chain", "draw"))
    assert float(effect.sel(annotator="new")) > 0.5
    assert float(rate.sel(annotator="new")) < 0.45
    assert float(rate.sel(annotator="new")) > float(rate.sel(annotator="ann"))


# --- three annotators, one of whom flips 40% ----------------------------------------------------------------------

RATES = np.array([0.05, 0.05, 0.4])
SEEDS = 7


def _world(seed, comparisons=900, responses=400, dim=20):
    """A linear world that nobody fitted; a third of the comparisons for each annotator."""
    r = np.random.default_rng(seed)
    embeddings = r.normal(size=(responses, dim)).astype(np.float32)
    golden = embeddings @ r.normal(size=dim) * 2 / np.sqrt(dim)
    first = r.integers(responses, size=comparisons)
    second = (first + r.integers(1, responses, size=comparisons)) % responses
    who = np.arange(comparisons) % 3
    p = 1 / (1 + np.exp(golden[second] - golden[first]))
    p = RATES[who] + (1 - 2 * RATES[who]) * p
    outcome = (r.random(comparisons) < p).astype(float)
    pool = brm.ResponsePool(embeddings, np.arange(responses) // 4)
    return pool, golden, brm.Preferences(first, second, outcome, np.array(["a", "b", "flips"])[who])


def _projected_log_ratio() -> float:
    """log T_flips − log T_good of the Bradley–Terry models closest to the annotators, on very many comparisons.

    The logit of a comparison is Normal(0, 2 · 2²) where golden rewards are linear in Gaussian embeddings.
    """
    eta = torch.linspace(-25, 25, 4001, dtype=torch.float64)
    density = torch.exp(-(eta**2) / 16)
    inverse = []
    for rate in (RATES[0], RATES[2]):
        p = Flips(float(rate)).probability(eta)
        slope = torch.ones(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([slope], max_iter=100, tolerance_grad=1e-12)

        def closure(p=p, slope=slope, optimizer=optimizer):
            optimizer.zero_grad()
            loss = -(density * BradleyTerry().log_prob(slope * eta, p)).sum() / density.sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        inverse.append(float(slope.detach()))
    return float(np.log(inverse[0] / inverse[1]))


@pytest.fixture(scope="module")
def fits():
    """For each seed: golden rewards, and posterior and rewards by likelihood."""
    found = []
    for seed in range(SEEDS):
        pool, golden, preferences = _world(seed)
        for_each = {}
        for name in ("annotator-flips", "annotators", "bradley-terry"):
            model = brm.RewardModel(pool.dim, encoder="linear", likelihood=name, prior_scale=0.45)
            fitted = brm.fit(model, pool, preferences)
            error = 1 - scipy.stats.spearmanr(fitted.reward(pool)[0], golden)[0]
            draws = None if name == "bradley-terry" else fitted.to_datatree(draws=2000)["posterior"]
            for_each[name] = (error, draws)
        found.append(for_each)
    return found


def _least(cases: int, rate: float = 0.9) -> int:
    """Fewer hits than this have a probability below 1% if the intervals are right."""
    return int(scipy.stats.binom.ppf(0.01, cases, rate))


def test_flip_rates_are_recovered_within_their_intervals(fits):
    hits = 0
    for fit in fits:
        draws = fit["annotator-flips"][1]["annotator_rate"][0]
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        hits += int(((low < RATES) & (high > RATES)).sum())
        assert np.median(draws[:, 2]) > 0.25
        assert (np.median(draws[:, :2], axis=0) < 0.2).all()
    assert hits >= _least(3 * SEEDS)


def test_the_temperature_of_who_flips_is_recovered_within_its_interval(fits):
    """Against the mean of the good ones: one case a world, since both would be against the same one who flips."""
    truth, hits = _projected_log_ratio(), 0
    assert truth > 1
    for fit in fits:
        draws = np.log(fit["annotators"][1]["temperature"][0].values)
        low, high = np.quantile(draws[:, :2].mean(axis=1) - draws[:, 2], [0.05, 0.95])
        hits += low < truth < high
    assert hits >= _least(SEEDS)


def test_how_far_annotators_lie_apart_is_what_nuts_says():
    """Found together with the temperatures that it spreads it was half as large again."""
    pool, _, preferences = _world(0)
    model = brm.RewardModel(pool.dim, encoder="linear", likelihood="annotators", prior_scale=0.45)
    inferences = ("laplace", Nuts(chains=1, draws=500, warmup=250))
    approximate, exact = (
        np.log(brm.fit(model, pool, preferences, each, seed=1).to_datatree(500)["posterior"]["temperature_spread"])
        for each in inferences
    )
    assert float(approximate.mean()) == pytest.approx(float(exact.mean()), abs=0.15)
    assert float(approximate.std()) == pytest.approx(float(exact.std()), rel=0.25)


def test_many_annotators_who_are_alike_cost_nothing():
    """Of more features than labels, each temperature could make its own answers sure."""
    r = np.random.default_rng(0)
    pool = brm.ResponsePool(r.normal(size=(240, 200)).astype(np.float32), np.arange(240) // 4)
    golden = pool.embeddings @ r.normal(size=200) / 10
    pairs = brm.candidates(pool, size=160, seed=0)
    answers = brm.GoldenAnnotator(golden, temperature=2.0, seed=1).label(pairs)
    named = brm.Preferences(pairs.first, pairs.second, answers.outcome, r.integers(20, size=160))
    plain, pooled = (
        brm.fit(brm.RewardModel(200, "linear", likelihood=name, prior_scale=0.15, inputs="raw"), pool, named)
        for name in ("bradley-terry", "annotators")
    )
    assert float(pooled.to_datatree(400)["posterior"]["temperature_spread"].median()) < 1.0
    assert pooled.log_evidence > plain.log_evidence - 3
    ranked = [scipy.stats.spearmanr(each.reward(pool)[0], golden)[0] for each in (plain, pooled)]
    assert ranked[1] > ranked[0] - 0.03


@pytest.mark.parametrize("name", ["annotator-flips", "annotators"])
def test_knowing_annotators_ranks_better_than_ignoring_them(fits, name):
    """1 − Spearman against golden rewards, paired over the seeds: better by two standard errors."""
    gain = np.array([fit["bradley-terry"][0] - fit[name][0] for fit in fits])
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain))
