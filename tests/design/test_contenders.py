"""Contenders: no pair that they leave out can be the best, and most choices look at nothing else."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.design import make_design
from bayesrm.design.candidates.sets import AllPairs
from bayesrm.design.objectives.screening import FarPairs
from bayesrm.design.search import contenders as module
from bayesrm.design.search.contenders import Contenders


@pytest.fixture(scope="module")
def pool() -> brm.ResponsePool:
    embeddings = np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32)
    return brm.ResponsePool(embeddings, np.repeat(np.arange(30), 10))


@pytest.fixture
def annotator(pool) -> brm.GoldenAnnotator:
    return brm.GoldenAnnotator(pool.embeddings @ np.random.default_rng(1).normal(size=12), seed=0)


@pytest.fixture(scope="module")
def everything(pool) -> brm.CandidateSet:
    return brm.candidates(pool, "cross-prompt", None, None)


@pytest.fixture(autouse=True)
def few(monkeypatch) -> None:
    """Not all pairs are listed."""
    monkeypatch.setattr(module, "LISTED", 10_000)


@pytest.fixture
def scans(monkeypatch) -> list[int]:
    """One entry for each time that all pairs are looked at."""
    seen, walk = [], AllPairs.tiles

    def counted(self, *given, **named):
        seen.append(1)
        return walk(self, *given, **named)

    monkeypatch.setattr(AllPairs, "tiles", counted)
    return seen


@pytest.fixture
def live(pool, annotator, everything) -> brm.Live:
    labels = annotator.label(brm.candidates(pool, "cross-prompt", size=40, seed=5))
    posterior = brm.fit(brm.RewardModel(pool.dim, "linear", prior_scale=2.0), pool, labels, "laplace")
    return brm.Live(posterior, everything, "pa-dopt")


def best_of_all(live: brm.Live) -> tuple[int, int]:
    """By the score of every candidate that is left."""
    left = live._candidates
    score = live._design.criterion.objective(live.posterior, left).batch().score()
    found = left.pairs_at(np.array([int(score(left.block_at(np.arange(len(left)))).argmax())]))
    return tuple(int(left.responses[end][0]) for end in found)


def ends(batch: brm.Comparisons) -> tuple[int, int]:
    return int(batch.first[0]), int(batch.second[0])


def test_each_pair_is_the_best_of_all_and_few_choices_look_at_all(live, annotator, scans):
    for _ in range(12):
        expected = best_of_all(live)
        assert ends(live.next()) == expected
        live.tell(annotator.label(live.next()))
    assert 1 <= len(scans) <= 7  # of which some are for the first choices


def test_they_are_listed_anew_where_answers_were_taken_back(live, annotator, pool, scans):
    live.next()
    live.next()
    listed = live._contenders
    labels = live.posterior.preferences
    for count in (39, 20, 5):
        live.relabel(labels[:count])
        assert listed.growth(far(live)) > 1
        expected = best_of_all(live)
        assert ends(live.next()) == expected
    assert live._contenders is not listed


def far(live: brm.Live) -> FarPairs:
    return live._design.criterion.objective(live.posterior, live._candidates).batch().score().far


def test_whoever_prepares_lists_them_before_the_last_moment(live, annotator, scans):
    live.prepare()
    live.tell(annotator.label(live.next()))
    before, looked = len(scans), []
    for _ in range(6):
        live.prepare()
        listed = len(scans)
        later = live.copy()
        later.tell(annotator.label(live.next()))
        assert ends(later.next()) == best_of_all(later)
        looked.append(len(scans) - listed)
        live = later
    # Choices after an answer look at no others, but where it taught so much that others may be the best.
    assert looked.count(0) >= 4
    assert len(scans) > before


def test_whoever_prepares_has_them_although_nothing_good_was_known(live, scans):
    """The pairs that a session begins with are drawn at random: listed by their best, too many would be contenders."""
    live._good = live._good[:1]
    other = live.copy()
    other.next()
    assert other._contenders is None
    live.prepare()
    assert live._contenders is not None
    assert ends(live.next()) == ends(other.next())


@pytest.fixture
def twins() -> tuple[brm.RewardPosterior, brm.GoldenAnnotator]:
    """Every response is there twice, so that each pair but those of twins is as good as others."""
    rows = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    pool = brm.ResponsePool(np.concatenate([rows, rows]), np.arange(120) // 4)
    annotator = brm.GoldenAnnotator(pool.embeddings @ np.random.default_rng(1).normal(size=6), seed=0)
    labels = annotator.label(brm.candidates(pool, "cross-prompt", size=30, seed=5))
    return brm.fit(brm.RewardModel(6, "linear", prior_scale=2.0), pool, labels, "laplace"), annotator


def test_whoever_prepares_is_not_asked_another_pair_than_the_one_shown(twins):
    posterior, annotator = twins
    for seed in (1, 3):
        live = brm.Live(
            posterior, brm.candidates(posterior.pool, "cross-prompt", None, None), "pa-dopt", seed=seed
        )
        for _ in range(4):
            shown = ends(live.next())
            live.prepare()
            assert ends(live.next()) == shown
            live.tell(annotator.label(live.next()))


@pytest.mark.parametrize("design", ["pa-dopt", "epig"])
def test_which_of_equal_pairs_is_asked_does_not_depend_on_when_contenders_were_listed(twins, design):
    posterior, annotator = twins
    candidates = brm.candidates(posterior.pool, "cross-prompt", None, None)
    plain, prepared = (brm.Live(posterior, candidates, design, seed=1) for _ in range(2))
    for _ in range(12):
        prepared._contenders = None
        prepared.prepare()
        assert ends(prepared.next()) == ends(plain.next())
        answer = annotator.label(plain.next())
        for session in (plain, prepared):
            session.tell(answer)


def test_many_pairs_that_are_equally_far_apart_are_not_all_kept(monkeypatch):
    monkeypatch.setattr(module, "LISTED", 16)
    axes = np.concatenate([np.eye(40), 1.2 * np.eye(40)[:2]]).astype(np.float32)
    pool = brm.ResponsePool(axes, np.arange(42) // 2)
    posterior = brm.fit(brm.RewardModel(40, "linear", inputs="raw", prior_scale=1.0), pool, brm.Preferences.none())
    candidates = brm.candidates(pool, "cross-prompt", None, None)
    score = make_design("pa-dopt").criterion.objective(posterior, candidates).batch().score()
    best = float(score(candidates.block_at(np.arange(len(candidates)))).max())
    found = module.list_contenders(score, candidates, best)
    assert found is None or len(found.first) <= 4 * module.LISTED


def test_they_go_to_another_process(live, annotator):
    live.prepare()
    other = pickle.loads(pickle.dumps(live))
    answer = annotator.label(live.next())
    for session in (live, other):
        session.tell(answer)
    assert ends(live.next()) == ends(other.next())
    assert len(other._contenders.distance) == len(live._contenders.distance) > 0


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("rank", [3, 6])
def test_no_distance_grew_by_more_than_is_said(noise, rank):
    random = np.random.default_rng(3)
    before = torch.from_numpy(random.normal(size=(80, 6)) + 20)
    image = torch.from_numpy(random.normal(size=(6, rank)))
    after = before @ image + noise * torch.from_numpy(random.normal(size=(80, rank)))
    first, second = torch.triu_indices(80, 80, 1)
    was, now = ((rows[first] - rows[second]).square().sum(dim=1) for rows in (before, after))
    weight, later = 0.25, 0.2
    old, new = FarPairs(before, weight, None), FarPairs(after, later, None)
    for cut in (0.5, 2.0):
        listed = weight * was >= cut
        held = Contenders(
            first[listed], second[listed], old.of_list(first, second)[listed], cut, old.single, weight, 0.5
        )
        growth = held.growth(new)
        assert (later * now <= growth * (weight * was).clamp(min=cut)).all()
        if noise == 0.0:
            assert growth == pytest.approx(
                later / weight * float(torch.linalg.matrix_norm(image, 2)) ** 2, rel=1e-2
            )
    assert held.growth(old) == pytest.approx(1.0)


def test_there_are_none_where_too_many_pairs_could_be_the_best(live, monkeypatch):
    monkeypatch.setattr(module, "LISTED", 4)
    live.next()
    live.leave_out(live.next())
    expected = best_of_all(live)
    assert ends(live.next()) == expected
    assert live._contenders is None


def test_positions_of_pairs_of_rows(everything):
    left = everything.without(brm.Comparisons([0, 5, 298], [1, 3, 299]))
    positions = np.array([0, 1, 77, 4_000, len(left) - 1])
    first, second = left.pairs_at(positions)
    np.testing.assert_array_equal(left.positions_of(second, first), positions)
    np.testing.assert_array_equal(
        left.positions_of(np.array([1, 0, 299]), np.array([0, 2, 298])),
        left.positions_of(np.array([0]), np.array([2])),
    )
