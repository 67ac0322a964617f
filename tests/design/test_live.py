"""One pair after another: each is the best of all under the exact refit, asked pairs never come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.design.candidates.sets import AllPairs
from bayesrm.design.live import Live
from bayesrm.design.objectives import screening
from bayesrm.errors import CapabilityError, InvalidInputError


@pytest.fixture(scope="module")
def pool() -> brm.ResponsePool:
    random = np.random.default_rng(0)
    embeddings = (random.normal(size=(200, 6)) * np.geomspace(1, 0.1, 6)).astype(np.float32)
    return brm.ResponsePool(embeddings, np.repeat(np.arange(20), 10))


@pytest.fixture
def annotator(pool) -> brm.GoldenAnnotator:
    return brm.GoldenAnnotator(3 * pool.embeddings @ np.random.default_rng(1).normal(size=6), seed=0)


def fitted(pool, annotator, inference="laplace", encoder="linear", labels=30) -> brm.RewardPosterior:
    prefs = annotator.label(brm.candidates(pool, "cross-prompt", size=labels, seed=5))
    return brm.fit(brm.RewardModel(pool.dim, encoder, prior_scale=2.0), pool, prefs, inference)


def pair(batch: brm.Comparisons) -> tuple[int, int]:
    return int(batch.first[0]), int(batch.second[0])


@pytest.mark.parametrize("few", [0, 1], ids=["tile by tile", "pair by pair"])
@pytest.mark.parametrize("size", [None, 3000], ids=["implicit", "list"])
@pytest.mark.parametrize(
    ("design", "selector", "inference"),
    [
        ("pa-dopt", None, "laplace"),
        ("pa-dopt", "exchange", "plugin"),
        ("pa-dopt", "gradient", "laplace"),
        ("dopt", None, "laplace"),
        ("entropy", None, "plugin"),
        ("bald", None, "laplace"),
    ],
)
def test_each_pair_is_what_a_refit_from_scratch_would_ask(
    pool, annotator, design, selector, inference, size, few, monkeypatch
):
    monkeypatch.setattr(screening, "MOST_CELLS", few)
    walk = AllPairs.tiles
    monkeypatch.setattr(AllPairs, "tiles", lambda self, order=None: walk(self, 48, order))
    posterior = fitted(pool, annotator, inference)
    start = posterior
    everything = brm.candidates(pool, "cross-prompt", None, size)
    live = Live(posterior, everything, design, selector)
    asked = posterior.preferences
    for _ in range(6):
        batch = live.next()
        rest = brm.candidates(pool, "cross-prompt", None, size).without(asked)
        expected = brm.select(posterior, rest, design, 1, selector)
        assert pair(batch) == pair(expected)
        np.testing.assert_allclose(batch.gain, expected.gain, rtol=1e-6)
        answer = annotator.label(batch)
        live.tell(answer)
        asked = asked.append(answer)
        posterior = start.condition(asked[len(start.preferences) :])
        # Whichever way Newton came, it stops where less than 1e-10 nats is left.
        torch.testing.assert_close(live.posterior.location, posterior.location, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            live.posterior.information_cholesky, posterior.information_cholesky, atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("size", [None, 3000], ids=["implicit", "list"])
@pytest.mark.parametrize("design", ["pa-dopt", "epig"])
def test_a_pair_that_is_chosen_fast_is_the_best_of_those_remembered_and_nearly_the_best_of_all(
    pool, annotator, size, design
):
    live = Live(fitted(pool, annotator), brm.candidates(pool, "cross-prompt", None, size), design)
    assert pair(live.copy().next(exact=False)) == pair(live.copy().next())  # nothing is known to be good yet
    for _ in range(4):
        live.prepare()
        live.tell(annotator.label(live.next()))
        good = brm.candidates(pool, pairs=brm.Comparisons(*np.array(live._good).T))
        expected, best = brm.select(live.posterior, good, design, 1), live.copy().next()
        fast = live.copy().next(exact=False)
        assert len(good) < len(live)
        assert pair(fast) == pair(expected)
        np.testing.assert_allclose(fast.gain, expected.gain, rtol=1e-9)
        assert 0.8 * best.gain[0] < fast.gain[0] < (1 + 1e-9) * best.gain[0]


@pytest.mark.parametrize(
    ("design", "selector"), [("random", None), ("vopt", None), ("pa-dopt", "gradient")], ids=lambda each: str(each)
)
def test_designs_that_need_all_candidates_look_at_all_however_fast_they_are_to_be(
    pool, annotator, design, selector, monkeypatch
):
    monkeypatch.setattr("bayesrm.design.live.REMEMBERED", 8)
    live = Live(fitted(pool, annotator), brm.candidates(pool, "cross-prompt", None, 500), design, selector)
    live.prepare()
    live.tell(annotator.label(live.next()))
    assert pair(live.copy().next(exact=False)) == pair(live.copy().next())


def test_a_session_takes_over_what_another_found_and_never_what_was_asked(pool, annotator):
    live = Live(fitted(pool, annotator), brm.candidates(pool, "cross-prompt", None, None), "pa-dopt")
    later = live.copy()
    live.prepare()
    asked = live.copy()
    for _ in range(3):
        later.tell(annotator.label(asked.next()))
        asked.leave_out(asked.next())
    later.learn(live)
    known = later.posterior.preferences
    asked_pairs = {frozenset(ends) for ends in zip(known.first, known.second, strict=True)}
    assert asked_pairs & {frozenset(ends) for ends in live._good}
    assert later._good == [ends for ends in live._good if frozenset(ends) not in asked_pairs]


def test_responses_are_encoded_once(pool, annotator, monkeypatch):
    posterior = fitted(pool, annotator, encoder="mlp")
    live = Live(posterior, brm.candidates(pool, "cross-prompt", None, None), "pa-dopt")
    rest = brm.candidates(pool, "cross-prompt", None, None, exclude=posterior.preferences)
    expected = brm.select(posterior, rest, "pa-dopt", 1)
    monkeypatch.setattr(type(posterior.model.encoder), "forward", None)
    assert pair(live.next()) == pair(expected)
    live.tell(annotator.label(live.next()))
    live.next()


def test_what_was_asked_or_left_out_never_comes_back_until_nothing_is_left(pool, annotator):
    few = brm.candidates(pool, "within-prompt", 1, None)
    live = Live(fitted(pool, annotator), few, "pa-dopt", seed=3)
    seen = set()
    for turn in range(len(live)):
        batch = live.next()
        assert live.next() is batch
        assert pair(batch) not in seen
        seen.add(pair(batch))
        assert len(live) == 45 - turn
        if turn % 2:
            live.leave_out(brm.Comparisons(batch.second, batch.first))
        else:
            answer = annotator.label(batch)
            live.tell(brm.Preferences(answer.second, answer.first, 1 - answer.outcome))
    assert len(seen) == 45
    with pytest.raises(InvalidInputError, match="no candidates are left"):
        live.next()


@pytest.mark.parametrize("design", ["random", "within-first"])
def test_random_pairs_are_random_and_the_same_for_the_same_seed(pool, annotator, design):
    posterior = fitted(pool, annotator)

    def first_pairs(seed: int) -> list[tuple[int, int]]:
        live = Live(posterior, brm.candidates(pool, "cross-prompt", None, None), design, seed=seed)
        found = []
        for _ in range(20):
            found.append(pair(live.next()))
            live.leave_out(live.next())
        return found

    assert first_pairs(0) == first_pairs(0) != first_pairs(1)
    assert len(set(first_pairs(0))) == 20
    if design == "within-first":
        assert all(pool.group[i] == pool.group[j] for i, j in first_pairs(0))


@pytest.mark.parametrize("size", [None, 400], ids=["implicit", "list"])
def test_candidates_without_some(pool, size):
    everything = brm.candidates(pool, "within-prompt", None, size)
    some = everything.pairs_at(np.array([3, 100, 399]))
    first, second = (everything.responses[end] for end in some)
    rest = everything.without(brm.Comparisons([*second, 0], [*first, 199]))
    kept = np.stack(rest.pairs_at(np.arange(len(rest))))
    was = np.stack(everything.pairs_at(np.arange(len(everything))))
    np.testing.assert_array_equal(kept, np.delete(was, [3, 100, 399], axis=1))
    assert len(rest.without(brm.Comparisons(first, second))) == len(rest) == len(everything) - 3


def test_what_cannot_work_is_refused(pool, annotator):
    everything = brm.candidates(pool, "cross-prompt", None, None)
    with pytest.raises(CapabilityError, match="needs a posterior with spread"):
        Live(fitted(pool, annotator, "plugin"), everything, "bald")
    with pytest.raises(InvalidInputError, match=r"without caps.*per_response=1"):
        Live(fitted(pool, annotator), brm.candidates(pool, per_response=1), "pa-dopt")
    other = brm.ResponsePool(pool.embeddings, pool.prompt)
    with pytest.raises(InvalidInputError, match="from the pool"):
        Live(fitted(pool, annotator), brm.candidates(other), "pa-dopt")


@pytest.mark.parametrize(
    "design", sorted(name for name, criterion in CRITERIA.items() if not criterion.needs_all_candidates)
)
def test_what_a_pair_is_worth_depends_on_other_candidates_only_where_the_design_says_so(pool, annotator, design):
    posterior, criterion = fitted(pool, annotator), CRITERIA[design]()
    everything = brm.candidates(pool, "cross-prompt", None, 300)
    some = everything.sample(20, np.random.default_rng(0))
    first, second = (everything.responses[end] for end in everything.pairs_at(some))
    few = brm.candidates(pool, pairs=brm.Comparisons(first, second))
    of_few, of_all = (criterion.objective(posterior, each).batch() for each in (few, everything))
    expected = of_all.gain(of_all.score()(everything.block_at(some)))
    torch.testing.assert_close(of_few.gain(of_few.score()(few.block_at(np.arange(20)))), expected)


def test_how_reliable_people_are_follows_while_nobody_waits(pool):
    """Told fast, rewards are those of a refit for the same slopes; prepared, they are those of an exact refit."""
    random = np.random.default_rng(3)
    asked = brm.candidates(pool, "cross-prompt", size=60, seed=5)
    outcome = (random.random(60) < 0.5).astype(float)
    names = np.array(["ana", "bo"])[np.arange(60) % 2]
    labels = brm.Preferences(asked.first, asked.second, outcome, annotator=names)
    model = brm.RewardModel(pool.dim, "linear", likelihood="annotators", prior_scale=1.0)
    posterior = brm.fit(model, pool, labels)
    live = Live(posterior, brm.candidates(pool, "cross-prompt", size=300), "pa-dopt")
    told = brm.Preferences([0, 3], [150, 77], [1.0, 0.0], annotator=["ana", "bo"])
    live.tell(told, exact=False)
    fast, exact = live.posterior, posterior.condition(told)
    torch.testing.assert_close(fast.nuisance, posterior.nuisance, rtol=0, atol=0)
    assert not torch.allclose(exact.nuisance, posterior.nuisance, atol=1e-3)
    gradient, _ = fast.log_joint.curvature(torch.cat([fast.nuisance, fast.location]))
    assert float(gradient[len(fast.nuisance) :].abs().max()) < 1e-5
    assert float((fast.location - posterior.location).abs().max()) > 1e-3
    # What is known of the slopes stays, and how they go with the rewards is that of the new labels.
    joint = [torch.cholesky_inverse(each.joint_cholesky)[:2, :2] for each in (fast, posterior)]
    torch.testing.assert_close(*joint, rtol=1e-6, atol=1e-9)
    spread = exact.covariance_factor.square().sum(dim=1).sqrt()
    assert float(((fast.location - exact.location) / spread).abs().max()) < 0.5
    live.prepare()
    torch.testing.assert_close(live.posterior.nuisance, exact.nuisance, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(live.posterior.location, exact.location, atol=1e-3, rtol=1e-3)
    live.relabel(labels, exact=False)
    assert len(live.posterior.preferences) == 60
    live.prepare()
    torch.testing.assert_close(live.posterior.location, posterior.location, atol=1e-3, rtol=1e-3)
    # Somebody new has a slope of their own, which only an exact refit can add.
    live.tell(brm.Preferences([5], [90], [1.0], annotator=["cy"]), exact=False)
    assert live.posterior.context.annotators == ("ana", "bo", "cy")


def test_without_nuisance_parameters_what_is_told_fast_is_told_exactly(pool, annotator):
    live = Live(fitted(pool, annotator), brm.candidates(pool, "cross-prompt", size=300), "pa-dopt")
    same = live.copy()
    answer = annotator.label(live.next())
    live.tell(answer, exact=False)
    same.tell(answer)
    torch.testing.assert_close(live.posterior.location, same.posterior.location, rtol=0, atol=0)
