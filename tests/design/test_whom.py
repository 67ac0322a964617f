"""Batches of answers: pairs with whom to ask, against enumeration of answers and matrices written out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.design import whom
from bayesrm.design.answers import weight_by_annotator
from bayesrm.errors import CapabilityError, InvalidInputError

PEOPLE = ("ana", "bob", "new")


@pytest.fixture(scope="module")
def crowd():
    """A careful and a careless annotator, who answered some of the pairs, one of them both."""
    r = np.random.default_rng(0)
    x = r.normal(size=(24, 3)).astype(np.float32)
    pool = brm.ResponsePool(x, np.repeat(np.arange(6), 4))
    reward = x @ np.array([1.0, -1.0, 0.5])
    pairs = brm.candidates(pool, prompts=None, size=30, seed=1)
    told = brm.Preferences.none()
    for name, slope, part in (("ana", 4.0, slice(0, 12)), ("bob", 0.3, slice(11, 24))):
        asked = brm.Comparisons(pairs.first[part], pairs.second[part])
        own = brm.GoldenAnnotator(reward, slope, seed=len(name)).label(asked)
        told = told.append(replace(own, annotator=np.repeat(name, len(own))))
    model = brm.RewardModel(pool, "linear", likelihood="annotators", prior_scale=1.0)
    return pool, pairs, brm.fit(model, pool, told)


def _weights(posterior, pool, pairs, names):
    """E w of each answer: over the logit by quadrature, of p(y) (∂ log p(y))² summed over both answers."""
    values = posterior.model.nuisance_space(posterior.context, torch.device("cpu")).values(posterior.nuisance)
    slope = dict(zip(posterior.context.annotators, values["temperature"].tolist(), strict=True))
    node = np.linspace(-9, 9, 2_001)
    mass = np.exp(-(node**2) / 2)
    mean, variance = (part.numpy()[:, None] for part in posterior.logit_moments(pool, pairs))
    eta = mean + np.sqrt(variance) * node

    def weight(t):
        p = 1 / (1 + np.exp(-t * eta))
        return sum(of * (t * (y - p)) ** 2 for y, of in ((1, p), (0, 1 - p))) @ mass / mass.sum()

    return np.stack([weight(slope.get(name, 1.0)) for name in names], axis=1)


def _told(weight: float, tau: float) -> float:
    """What answers of this summed weight tell of η when η + u was asked: the Schur complement of u."""
    joint = np.array([[weight, weight], [weight, weight + 1 / tau]])
    return joint[0, 0] - joint[0, 1] ** 2 / joint[1, 1]


def _value(posterior, pool, pairs, weights, batch):
    """½ log det of the precision after a batch of (pair, annotator), past answers counted, with matrices."""
    tau = 2 * posterior.unexplained.variance
    precision = (posterior.information_cholesky @ posterior.information_cholesky.T).numpy()
    z = (posterior.features(pool)[pairs.first] - posterior.features(pool)[pairs.second]).numpy()
    told = posterior.preferences
    for m in {m for m, _ in batch}:
        before = 0.0
        for first, second, name in zip(told.first, told.second, told.annotator, strict=True):
            if {first, second} == {pairs.first[m], pairs.second[m]}:
                before += weights[m, PEOPLE.index(name)]
        after = before + sum(weights[m, a] for at, a in batch if at == m)
        more = _told(after, tau) - (_told(before, tau) if before else 0.0)
        precision = precision + more * np.outer(z[m], z[m])
    return 0.5 * np.linalg.slogdet(precision)[1]


@pytest.mark.parametrize("prices", [None, {"ana": 3.0, "bob": 0.2}])
def test_every_answer_is_the_best_of_all_pairs_and_people(crowd, prices):
    pool, pairs, posterior = crowd
    pairs = brm.candidates(pool, pairs=brm.Comparisons(pairs.first[6:16], pairs.second[6:16]))
    price = [(prices or {}).get(name, 1.0) for name in PEOPLE]
    told = posterior.preferences
    gone = {
        (frozenset((first, second)), name)
        for first, second, name in zip(told.first, told.second, told.annotator, strict=True)
    }
    batch = brm.select(posterior, pairs, "pa-dopt", size=18, annotators=PEOPLE, prices=prices)
    weights = _weights(posterior, pool, pairs, PEOPLE)
    place = {frozenset(ends): m for m, ends in enumerate(zip(pairs.first, pairs.second, strict=True))}
    chosen, before = [], _value(posterior, pool, pairs, weights, [])
    for first, second, name, gain in zip(batch.first, batch.second, batch.annotator, batch.gain, strict=True):
        every = {}
        for m, a in product(range(len(pairs)), range(3)):
            ends = frozenset((pairs.first[m], pairs.second[m]))
            if (m, a) not in chosen and (ends, PEOPLE[a]) not in gone:
                more = _value(posterior, pool, pairs, weights, [*chosen, (m, a)]) - before
                every[m, a] = more / price[a]
        answer = place[frozenset((first, second))], PEOPLE.index(name)
        assert every[answer] == pytest.approx(max(every.values()), rel=1e-5)
        assert gain == pytest.approx(every[answer] * price[answer[1]], rel=1e-4, abs=1e-9)
        chosen.append(answer)
        before = _value(posterior, pool, pairs, weights, chosen)
    asked = Counter(frozenset(ends) for ends in zip(batch.first, batch.second, strict=True))
    assert max(asked.values()) > 1, "ten pairs and 18 answers: some are asked twice"


@pytest.mark.parametrize("design", ["pa-dopt", "dopt", "vopt", "epig", "rank", "xtx"])
def test_a_typical_annotator_is_the_design_of_pairs(crowd, monkeypatch, design):
    """Where features say all, and nobody is known, each pair is asked once, as without annotators."""
    _, pairs, posterior = crowd
    rest = pairs.without(posterior.preferences)
    alone = replace(posterior)
    monkeypatch.setattr(type(alone), "unexplained", SimpleNamespace(variance=0.0))
    expected = brm.select(alone, rest, design, size=5)
    found = brm.select(alone, rest, design, size=5, annotators=["new"])
    np.testing.assert_array_equal(found.first, expected.first)
    np.testing.assert_array_equal(found.second, expected.second)
    np.testing.assert_allclose(found.gain, expected.gain, rtol=1e-6)


@pytest.mark.parametrize(("slope", "variance", "tau"), [(1.0, 0.3, 0.2), (2.0, 0.1, 0.05), (0.5, 0.5, 0.3)])
def test_first_and_second_answers_tell_what_enumeration_says(slope, variance, tau):
    """I(y; η) and I(y'; η | y) in nats, over all outcomes, η and u by quadrature: within a tenth of the formula."""
    node, mass = np.polynomial.hermite_e.hermegauss(60)
    mass = mass / mass.sum()
    mean = 0.4
    eta = mean + np.sqrt(variance) * node
    p = 1 / (1 + np.exp(-slope * (eta[:, None] + np.sqrt(tau) * node)))

    def information(answers):
        """E over outcomes of the Kullback–Leibler divergence from the prior of η to its posterior."""
        total = 0.0
        for outcome in product((0, 1), repeat=answers):
            given = np.prod([p if y else 1 - p for y in outcome], axis=0) @ mass  # of each η, over u
            total += float(np.sum(mass * given * np.log(given / (mass @ given))))
        return total

    q = 1 / (1 + np.exp(-slope * eta))
    w = float(mass @ (slope**2 * q * (1 - q)))
    formula = [0.5 * np.log1p(n * w / (1 + n * w * tau) * variance) for n in (1, 2)]
    assert information(1) == pytest.approx(formula[0], rel=0.1)
    assert information(2) - information(1) == pytest.approx(formula[1] - formula[0], rel=0.1)


def test_a_pair_that_tells_most_is_asked_of_two_people(crowd):
    pool, _, posterior = crowd
    x = pool.embeddings.copy()
    x[1:] = x[1] + 1e-3 * x[1:]
    one = brm.ResponsePool(x[:4], np.zeros(4, int))
    close = brm.candidates(one, pairs=brm.Comparisons([0, 1, 2], [1, 2, 3]))
    fresh = brm.fit(posterior.model, pool, posterior.preferences)
    batch = brm.select(fresh, close, "pa-dopt", size=3, annotators={"ana": None, "bob": 1, "new": 1})
    first = {frozenset(ends) for ends in zip(batch.first, batch.second, strict=True)}
    assert first == {frozenset((0, 1))}
    assert set(batch.annotator) == set(PEOPLE)
    assert (np.diff(batch.gain) < 0).all()
    assert "annotator" in batch.explain().table


def test_quotas_caps_and_what_people_said_before_hold(crowd):
    pool, pairs, posterior = crowd
    batch = brm.select(posterior, pairs, "pa-dopt", size=20, annotators={"ana": 7, "bob": None})
    counts = Counter(batch.annotator.tolist())
    assert counts == {"ana": 7, "bob": 13}
    told = posterior.preferences
    for each in (told, batch):
        ends = np.sort(np.stack([each.first, each.second]), axis=0).T.tolist()
        said = [(*pair, name) for pair, name in zip(ends, each.annotator.tolist(), strict=True)]
        assert len(set(said)) == len(said)
        before = set(said) if each is told else before & set(said)
    assert not before
    capped = brm.candidates(pool, pairs=brm.Comparisons(pairs.first, pairs.second), per_response=1)
    batch = brm.select(posterior, capped, "pa-dopt", size=12, annotators=PEOPLE)
    unique = {frozenset(ends) for ends in zip(batch.first, batch.second, strict=True)}
    assert max(Counter(end for ends in unique for end in ends).values()) == 1
    twice = brm.select(posterior, pairs, "epig", size=12, annotators=PEOPLE, seed=3)
    again = brm.select(posterior, pairs, "epig", size=12, annotators=PEOPLE, seed=3)
    np.testing.assert_array_equal(twice.annotator, again.annotator)
    np.testing.assert_array_equal(twice.first, again.first)


def test_only_those_that_stand_highest_are_looked_at_again(crowd, monkeypatch):
    _, pairs, posterior = crowd
    expected = brm.select(posterior, pairs, "pa-dopt", size=30, annotators=PEOPLE)
    monkeypatch.setattr(whom, "AGAIN", 1)
    monkeypatch.setattr(whom, "AT_ONCE", 7)
    found = brm.select(posterior, pairs, "pa-dopt", size=30, annotators=PEOPLE)
    np.testing.assert_array_equal(found.first, expected.first)
    np.testing.assert_array_equal(found.annotator, expected.annotator)


def test_costs_of_reading_are_weighed_too(crowd):
    pool, pairs, posterior = crowd
    cost = np.random.default_rng(0).uniform(0.2, 5.0, len(pool))
    cost[pairs.first[:24]] *= 20  # those of pairs that were asked before, of which less is told
    dear = brm.candidates(pool, pairs=brm.Comparisons(pairs.first, pairs.second), cost=cost)
    batch = brm.select(posterior, dear, "pa-dopt", size=1, annotators=["new"])
    tau = 2 * posterior.unexplained.variance
    weight = weight_by_annotator(posterior, pool, pairs, ["new"])[:, 0].numpy()
    _, variance = posterior.logit_moments(pool, pairs)
    gain = 0.5 * np.log1p(weight / (1 + weight * tau) * variance.numpy())
    ratio = gain / (cost[pairs.first] + cost[pairs.second])
    best = 24 + ratio[24:].argmax()
    assert ratio[:24].max() < ratio[best]
    assert {batch.first[0], batch.second[0]} == {pairs.first[best], pairs.second[best]}
    assert batch.gain[0] == pytest.approx(gain[best])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"annotators": []}, InvalidInputError, "names of annotators"),
        ({"annotators": "ana"}, InvalidInputError, "annotators"),
        ({"annotators": ["ana", "ana"]}, InvalidInputError, "different annotators"),
        ({"annotators": {"ana": 0}}, InvalidInputError, "quota of at least 1, got 'ana': 0"),
        ({"annotators": {"ana": 2, "bob": 1}}, InvalidInputError, "between 1 and 3 answers, .* got 5"),
        ({"prices": {"eve": 2.0}}, InvalidInputError, "named, got one of 'eve'"),
        ({"prices": {"ana": 0.0}}, InvalidInputError, "prices above 0"),
        ({"annotators": None, "prices": {"ana": 2.0}}, InvalidInputError, "annotators where there are prices"),
        ({"list_size": 3}, InvalidInputError, "expected pairs for annotators"),
        ({"size": 100}, InvalidInputError, "batch of 100 answers, and there are only 65"),
        ({"design": "random"}, CapabilityError, "'random' does not weigh one answer against another"),
        ({"selector": "exchange"}, CapabilityError, "such as pa-dopt or epig"),
    ],
)
def test_what_cannot_be_asked(crowd, arguments, error, message):
    _, pairs, posterior = crowd
    with pytest.raises(error, match=message):
        brm.select(posterior, pairs, **{"design": "pa-dopt", "size": 5, "annotators": PEOPLE} | arguments)


def test_a_posterior_that_knows_nobody_is_refused(crowd):
    pool, pairs, posterior = crowd
    plain = brm.fit(brm.RewardModel(pool, "linear", prior_scale=1.0), pool, posterior.preferences)
    with pytest.raises(CapabilityError, match="likelihood='annotators'"):
        brm.select(plain, pairs, "pa-dopt", size=5, annotators=PEOPLE)
