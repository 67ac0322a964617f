"""Responses that read the same, against brute force over words: each pair of words once, and none that was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.design.candidates.alike import AskedInWords, in_words
from bayesrm.design.candidates.sets import SMALLEST_TILED
from bayesrm.errors import InvalidInputError, NoCandidatesError

SCOPES = ("within-prompt", "cross-prompt")
NOTHING = brm.Comparisons([], [])


def pool_of(texts, prompt) -> brm.ResponsePool:
    """Embeddings differ where texts do not: what is left out is so for its words alone."""
    embeddings = np.random.default_rng(0).standard_normal((len(prompt), 4)).astype(np.float32)
    return brm.ResponsePool(embeddings, np.asarray(prompt), texts)


@pytest.fixture
def repeating() -> brm.ResponsePool:
    """Prompts in any order and of one response to more than are listed, each word several times to a prompt."""
    r = np.random.default_rng(1)
    prompt = r.permutation(np.repeat(np.arange(9), [1, 2, 3, 6, 8, 12, 4, 5, SMALLEST_TILED + 30]))
    word = r.integers(0, np.where(prompt == 8, SMALLEST_TILED + 20, 4))
    word[prompt == 6] = 0
    return pool_of([f"word {k}" for k in word], prompt)


def words(pool, first, second) -> list[frozenset]:
    """What people are asked by each pair."""
    return [
        frozenset((pool.prompt[end], pool.texts[end]) for end in ends)
        for ends in zip(np.asarray(first).tolist(), np.asarray(second).tolist(), strict=True)
    ]


def possible(pool, scope) -> np.ndarray:
    pairs = combinations(range(len(pool)), 2)
    return np.array([p for p in pairs if scope == "cross-prompt" or pool.prompt[p[0]] == pool.prompt[p[1]]])


def asked_of(pool, scope, share) -> brm.Comparisons:
    r = np.random.default_rng(2)
    pairs = possible(pool, scope)
    pairs = pairs[r.random(len(pairs)) < share]
    return brm.Comparisons(*r.permuted(pairs, axis=1).T)


def listed(candidates) -> tuple[np.ndarray, np.ndarray]:
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    return candidates.responses[first], candidates.responses[second]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("size", [None, 10**6])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.4])
def test_each_pair_of_words_is_a_candidate_once_unless_it_was_asked(repeating, scope, size, share):
    asked = asked_of(repeating, scope, share)
    exclude = in_words(repeating, asked)
    found = words(repeating, *listed(brm.candidates(repeating, scope, None, size, exclude=exclude)))
    everything = {pair for pair in words(repeating, *possible(repeating, scope).T) if len(pair) == 2}
    assert len(found) == len(set(found))
    assert set(found) == everything - set(words(repeating, asked.first, asked.second))


@pytest.mark.parametrize("scope", SCOPES)
def test_one_that_was_asked_about_stands_for_others_else_the_first(repeating, scope):
    asked = asked_of(repeating, scope, 0.02)
    stands = in_words(repeating, asked).stands
    about = set(asked.first.tolist()) | set(asked.second.tolist())
    for row in range(len(repeating)):
        same = (repeating.prompt == repeating.prompt[row]) & (np.array(repeating.texts) == repeating.texts[row])
        alike = np.flatnonzero(same).tolist()
        assert stands[row] == min([each for each in alike if each in about] or alike)


def test_further_pairs_are_those_of_the_same_words(repeating):
    exclude, others = in_words(repeating, NOTHING), asked_of(repeating, "cross-prompt", 0.1)
    told = exclude.as_asked(others)
    expected = [pair for pair in words(repeating, others.first, others.second) if len(pair) == 2]
    assert words(repeating, told.first, told.second) == expected
    assert exclude.kept[told.first].all()
    assert exclude.kept[told.second].all()


@pytest.mark.parametrize("texts", [None, [f"word {k}" for k in range(12)], ["a", "b", "c"] * 4])
def test_what_was_asked_is_left_as_it_is_where_no_two_to_a_prompt_are_equal(texts):
    pool = pool_of(texts, np.repeat(np.arange(4), 3))
    asked = brm.Comparisons([0], [1])
    assert in_words(pool, asked) is asked


@pytest.mark.parametrize("size", [None, 10**6])
def test_candidates_of_ones_own_are_all_pairs_of_responses(repeating, size):
    found = Counter(map(frozenset, zip(*listed(brm.candidates(repeating, prompts=None, size=size)), strict=True)))
    assert found == Counter(map(frozenset, possible(repeating, "within-prompt").tolist()))


def test_prompts_whose_responses_all_read_the_same_are_not_drawn():
    pool = pool_of(["a"] * 4 + ["b", "b"] + ["c", "d", "c"], [0, 0, 0, 0, 1, 1, 2, 2, 2])
    exclude = in_words(pool, NOTHING)
    for seed in range(6):
        first, second = listed(brm.candidates(pool, prompts=1, seed=seed, exclude=exclude))
        assert {*first.tolist(), *second.tolist()} == {6, 7}


@pytest.mark.parametrize("size", [None, 10])
@pytest.mark.parametrize("scope", SCOPES)
def test_nothing_is_left_where_all_read_the_same(scope, size):
    alone = pool_of(["a"] * 3, [0, 0, 0])
    with pytest.raises(NoCandidatesError, match="no candidates are left"):
        brm.candidates(alone, scope, size=size, exclude=in_words(alone, NOTHING))
    asked = pool_of(["a", "b", "a"], [0, 0, 0])
    with pytest.raises(NoCandidatesError, match="no candidates are left"):
        brm.candidates(asked, scope, size=size, exclude=in_words(asked, brm.Comparisons([2], [1])))


def test_a_pool_of_one_response_a_prompt_is_told_so_as_before():
    pool = pool_of(["a", "b"], [0, 1])
    with pytest.raises(InvalidInputError, match="at least two responses to compare"):
        brm.candidates(pool, exclude=in_words(pool, NOTHING))


def test_texts_are_read_once_for_a_pool():
    class Counted(Sequence):
        walks = 0

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return ["a", "b", "a", "a"][index]

        def __iter__(self):
            type(self).walks += 1
            return iter(["a", "b", "a", "a"])

    pool = pool_of(Counted(), [0, 0, 0, 1])
    for asked in (NOTHING, brm.Comparisons([2], [1])):
        assert isinstance(in_words(pool, asked), AskedInWords)
    assert Counted.walks == 1
