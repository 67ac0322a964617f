"""Candidates against brute-force enumeration: numbering, exclusion, sampling, both scopes, ragged prompts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm import rng
from bayesrm.design.candidates import near
from bayesrm.design.candidates import sets as candidates_module
from bayesrm.design.candidates.numbering import PairNumbering
from bayesrm.design.candidates.sets import AllPairs
from bayesrm.errors import CapabilityError, InvalidInputError

SCOPES = ("within-prompt", "cross-prompt")


def _unordered(first, second) -> list[tuple[int, int]]:
    return [
        (min(i, j), max(i, j))
        for i, j in zip(np.asarray(first).tolist(), np.asarray(second).tolist(), strict=True)
    ]


def _possible(pool, scope) -> set[tuple[int, int]]:
    everything = combinations(range(len(pool)), 2)
    return {(i, j) for i, j in everything if scope == "cross-prompt" or pool.prompt[i] == pool.prompt[j]}


def _listed(candidates) -> list[tuple[int, int]]:
    """All candidates by position, as indices into the pool."""
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    return _unordered(candidates.responses[first], candidates.responses[second])


@pytest.mark.parametrize("scope", SCOPES)
def test_all_pairs_by_enumeration(pool, scope):
    candidates = brm.candidates(pool, scope, prompts=None, size=None)
    listed = _listed(candidates)
    assert len(candidates) == len(listed) == len(set(listed))
    assert set(listed) == _possible(pool, scope)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_excluded_pairs_never_come_back_in_either_orientation(pool, scope, share):
    r = np.random.default_rng(1)
    possible = np.array(sorted(_possible(pool, scope)))
    asked = possible[r.random(len(possible)) < share]
    flip = r.random(len(asked)) < 0.5
    exclude = brm.Comparisons(np.where(flip, asked[:, 1], asked[:, 0]), np.where(flip, asked[:, 0], asked[:, 1]))
    twice = brm.Comparisons(np.tile(exclude.first, 2), np.tile(exclude.second, 2))
    for left_out in (exclude, twice):
        listed = _listed(brm.candidates(pool, scope, prompts=None, size=None, exclude=left_out))
        assert len(listed) == len(set(listed))
        assert set(listed) == _possible(pool, scope) - set(map(tuple, asked.tolist()))


def test_excluded_pairs_of_other_prompts_do_not_matter(pool):
    across = [
        pair for pair in sorted(_possible(pool, "cross-prompt")) if pool.prompt[pair[0]] != pool.prompt[pair[1]]
    ]
    exclude = brm.Comparisons(*np.array(across).T)
    assert set(_listed(brm.candidates(pool, size=None, exclude=exclude))) == _possible(pool, "within-prompt")
    few = brm.candidates(pool, prompts=2, size=None, seed=3)
    assert len(brm.candidates(pool, prompts=2, size=None, seed=3, exclude=exclude)) == len(few)


@pytest.mark.parametrize("scope", SCOPES)
def test_sampled_candidates_are_different_possible_pairs(pool, scope, preferences):
    candidates = brm.candidates(pool, scope, size=50, seed=4, exclude=preferences)
    pairs = _unordered(candidates.first, candidates.second)
    assert len(candidates) == len(pairs) == len(set(pairs)) == 50
    asked = set(_unordered(preferences.first, preferences.second))
    assert set(pairs) <= _possible(pool, scope) - asked
    assert candidates.first.dtype == candidates.second.dtype == np.int64


def test_a_size_beyond_what_is_possible_takes_all(pool):
    candidates = brm.candidates(pool, size=10**6)
    assert set(_unordered(candidates.first, candidates.second)) == _possible(pool, "within-prompt")


@pytest.mark.parametrize("scope", SCOPES)
def test_prompts_are_drawn(pool, scope):
    def drawn(seed):
        return set(pool.prompt[brm.candidates(pool, scope, prompts=3, size=None, seed=seed).responses])

    assert len(drawn(0)) == 3
    assert len({frozenset(drawn(seed)) for seed in range(10)}) > 1
    reached = set().union(*(drawn(seed) for seed in range(60)))
    counts = dict(zip(*np.unique(pool.prompt, return_counts=True), strict=True))
    assert reached == {prompt for prompt, n in counts.items() if n > 1 or scope == "cross-prompt"}


def test_one_response_a_prompt_says_how_prompts_are_compared():
    with pytest.raises(InvalidInputError, match=r"scope='cross-prompt', on the command line --scope cross-prompt"):
        brm.candidates(brm.ResponsePool(np.eye(3), [0, 1, 2]))


@pytest.mark.parametrize("size", [None, 30])
def test_the_seed_decides(pool, size):
    same = [_listed(brm.candidates(pool, prompts=4, size=size, seed=7)) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != _listed(brm.candidates(pool, prompts=4, size=size, seed=8))


def test_sampling_is_uniform_and_without_duplicates(pool, preferences):
    candidates = brm.candidates(pool, size=None, exclude=preferences)
    draws, size = 4000, 5
    counts = np.zeros(len(candidates))
    generator = rng.stream(0, "test")
    for _ in range(draws):
        positions = candidates.sample(size, generator)
        assert len(np.unique(positions)) == size
        counts[positions] += 1
    share = size / len(candidates)
    assert (np.abs(counts / draws - share) < 5 * np.sqrt(share * (1 - share) / draws)).all()


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("smallest_tiled", [2, 5, 1000])
def test_lists_and_tiles_walk_through_all_candidates_once(pool, scope, smallest_tiled, preferences, monkeypatch):
    monkeypatch.setattr(candidates_module, "SMALLEST_TILED", smallest_tiled)
    candidates = brm.candidates(pool, scope, prompts=None, size=None, exclude=preferences)
    walked = []
    for positions, pairs in candidates.listed(97):
        walked.append((positions, pairs))
    for tile in candidates.tiles(7):
        inside = tile.hide(torch.ones(len(tile.rows) * len(tile.columns)), 0.0).flatten()
        positions, pairs, _ = tile.locate(torch.nonzero(inside)[:, 0])
        walked.append((positions, pairs))
    for positions, pairs in walked:
        expected = candidates.pairs_at(positions)
        assert np.array_equal(pairs.first.numpy(), expected[0])
        assert np.array_equal(pairs.second.numpy(), expected[1])
    assert np.array_equal(np.sort(np.concatenate([p for p, _ in walked])), np.arange(len(candidates)))


def test_responses_are_what_has_to_be_encoded(pool):
    implicit = brm.candidates(pool, size=None)
    assert implicit.responses.tolist() == sorted({i for pair in _possible(pool, "within-prompt") for i in pair})
    explicit = brm.candidates(pool, size=3)
    assert explicit.responses.tolist() == sorted({*explicit.first.tolist(), *explicit.second.tolist()})


def test_implicit_candidates_are_not_listed_and_say_so(pool):
    candidates = brm.candidates(pool, size=None)
    for end in ("first", "second"):
        with pytest.raises(CapabilityError, match=rf"these {len(candidates)} candidates are implicit.*size="):
            getattr(candidates, end)


def test_identical_embeddings_are_left_out_unless_asked_for(pool):
    embeddings = pool.embeddings.copy()
    twins = pool.members[int(np.argmax(np.bincount(pool.group)))][:3]
    embeddings[twins] = embeddings[twins[0]]
    changed = brm.ResponsePool(embeddings, pool.prompt)
    same = set(combinations(sorted(twins.tolist()), 2))
    for scope in SCOPES:
        assert set(_listed(brm.candidates(changed, scope, size=None))) == _possible(pool, scope) - same
        assert set(_listed(brm.candidates(changed, scope, size=None, identical=True))) == _possible(pool, scope)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("few", [4, 64], ids=["by directions", "pair by pair"])
def test_responses_that_are_as_good_as_the_same_are_not_compared(scope, few, monkeypatch):
    """Twins at a ten-thousandth of the usual distance; at a hundredth they are two responses."""
    monkeypatch.setattr(near, "_FEW", few)
    random = np.random.default_rng(0)
    base = 5 + random.normal(size=(60, 12))
    twins = [base + size * random.normal(size=base.shape) for size in (1e-4, 1e-2)]
    pool = brm.ResponsePool(
        np.concatenate([base, *twins]).astype(np.float32), np.tile(np.repeat([0, 1, 2], 20), 3)
    )
    for size in (None, 100_000):
        candidates = brm.candidates(pool, scope, size=size)
        left_out = _possible(pool, scope) - set(_listed(candidates))
        assert left_out == {(k, k + 60) for k in range(60)}
    assert set(_listed(brm.candidates(pool, scope, size=None, identical=True))) == _possible(pool, scope)


def test_near_pairs_are_found_among_many_responses():
    """Two thousand copies with a little noise among ten thousand responses of few directions, and no other pair."""
    random = np.random.default_rng(0)
    base = random.normal(size=(10_000, 20)) * np.geomspace(1, 0.01, 20)
    copied = random.choice(10_000, 2_000, replace=False)
    copies = base[copied] + 1e-5 * random.normal(size=(2_000, 20))
    pool = brm.ResponsePool(np.concatenate([base, copies]).astype(np.float32), np.zeros(12_000))
    found = near.near_pairs(pool, [np.arange(12_000)])
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == {
        (int(k), 10_000 + n) for n, k in enumerate(copied)
    }


@pytest.mark.parametrize("n", [2, 3, 1000, 200_000])
def test_a_large_group_is_decoded_exactly(n):
    numbering = PairNumbering(np.arange(n), np.array([n]))
    total = n * (n - 1) // 2
    assert len(numbering) == total
    b = np.unique(np.concatenate([np.arange(1, min(n, 50)), np.arange(max(1, n - 50), n), [max(1, n // 3)]]))
    # The first and the last pair of a row of the triangle: where rounding of the square root would show.
    low, high = numbering.decode(np.concatenate([b * (b - 1) // 2, b * (b - 1) // 2 + b - 1]))
    assert np.array_equal(low, np.concatenate([np.zeros_like(b), b - 1]))
    assert np.array_equal(high, np.concatenate([b, b]))
    ends = np.array([0, total - 1])
    assert [end.tolist() for end in numbering.decode(ends)] == [[0, n - 2], [1, n - 1]]
    assert np.array_equal(numbering.encode(low, high), numbering.encode(high, low))


def test_encode_undoes_decode():
    r = np.random.default_rng(0)
    sizes = np.array([1, 4, 2, 30, 1, 7])
    numbering = PairNumbering(r.permutation(100)[: sizes.sum()], sizes)
    numbers = np.arange(len(numbering))
    assert np.array_equal(numbering.encode(*numbering.decode(numbers)), numbers)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scope": "anywhere"}, "unknown scope 'anywhere': there are within-prompt, cross-prompt"),
        ({"prompts": 0}, "expected prompts of at least 1.* got 0"),
        ({"size": 0}, "expected size of at least 1.* got 0"),
        ({"exclude": brm.Comparisons([0], [40])}, "indices below 40"),
    ],
)
def test_settings_rejected(pool, settings, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.candidates(pool, **settings)


def test_a_list_of_ones_own(pool, laplace):
    """Each pair once whatever its orientation, without those asked already and those of the same embeddings."""
    rows = pool.embeddings.copy()
    rows[9] = rows[8]
    changed = brm.ResponsePool(rows, pool.prompt)
    own = brm.Comparisons([3, 5, 3, 8, 1, 7], [5, 3, 4, 9, 2, 0])
    candidates = brm.candidates(changed, pairs=own, exclude=brm.Comparisons([2], [1]), per_response=1)
    assert list(zip(candidates.first.tolist(), candidates.second.tolist(), strict=True)) == [
        (3, 5),
        (3, 4),
        (7, 0),
    ]
    assert set(_listed(brm.candidates(changed, pairs=own, identical=True))) == {
        (3, 5),
        (3, 4),
        (8, 9),
        (1, 2),
        (0, 7),
    }
    batch = brm.select(laplace, candidates, "pa-dopt", 2)
    assert (7, 0) in zip(batch.first.tolist(), batch.second.tolist(), strict=True)
    with pytest.raises(InvalidInputError, match="no candidates are left"):
        brm.candidates(changed, pairs=own, exclude=own)


@pytest.mark.parametrize(
    ("prompt", "scope", "message"),
    [
        ([0, 1, 2], "within-prompt", "at least two responses to compare, got 3 prompts with one.*cross-prompt"),
        ([0], "cross-prompt", "at least two responses"),
    ],
)
def test_nothing_to_compare(prompt, scope, message):
    pool = brm.ResponsePool(np.eye(len(prompt)), np.array(prompt))
    with pytest.raises(InvalidInputError, match=message):
        brm.candidates(pool, scope)


def test_everything_was_asked(pool):
    asked = brm.Comparisons(*np.array(sorted(_possible(pool, "within-prompt"))).T)
    with pytest.raises(InvalidInputError, match=r"no candidates are left.*already asked"):
        brm.candidates(pool, exclude=asked)


def test_one_drawn_prompt_with_one_response_is_not_called_asked():
    pool = brm.ResponsePool(np.eye(3), np.arange(3))
    with pytest.raises(InvalidInputError, match=r"two responses|more prompts"):
        brm.candidates(pool, "cross-prompt", prompts=1)


def test_no_groups_no_candidates(pool):
    assert len(AllPairs(pool, [])) == 0
