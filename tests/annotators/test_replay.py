"""Recorded votes: read from files, and given as answers, each at most once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesrm as brm
from bayesrm.errors import InvalidInputError

VOTES = brm.Votes(
    np.array([0, 1, 0, 2, 3]),
    np.array([1, 0, 1, 0, 4]),
    np.array([1.0, 1.0, 0.5, 0.0, 1.0]),
    annotator=np.array(["a", "b", "c", "a", "b"]),
)


def test_pairs_are_each_named_once():
    assert VOTES.pairs.first.tolist() == [0, 0, 3]
    assert VOTES.pairs.second.tolist() == [1, 2, 4]


def test_every_vote_is_used_once_and_turned_with_the_pair():
    annotator = brm.ReplayAnnotator(VOTES, seed=3)
    given = [annotator.label(brm.Comparisons([1], [0])) for _ in range(4)]
    assert [len(answers) for answers in given] == [1, 1, 1, 0]
    outcomes = {str(answers.annotator[0]): float(answers.outcome[0]) for answers in given[:3]}
    # a: the first (0) preferred, so 0 towards response 1; b: response 1 preferred; c: a tie.
    assert outcomes == {"a": 0.0, "b": 1.0, "c": 0.5}
    assert annotator.pairs.second.tolist() == [2, 4]


def test_one_batch_may_ask_a_pair_twice():
    answers = brm.ReplayAnnotator(VOTES).label(brm.Comparisons([0, 0, 0, 0], [1, 1, 1, 2]))
    assert sorted(answers.annotator[:3].tolist()) == ["a", "b", "c"]
    assert answers.outcome[3] == 1.0, "response 0 was preferred to 2"


def test_the_order_of_votes_depends_on_the_seed_alone():
    def order(seed):
        annotator = brm.ReplayAnnotator(VOTES, seed)
        return [str(annotator.label(brm.Comparisons([0], [1])).annotator[0]) for _ in range(3)]

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(20)}) > 1


def test_pairs_that_nobody_voted_on_are_refused():
    with pytest.raises(InvalidInputError, match="the first is response 1 with 2"):
        brm.ReplayAnnotator(VOTES).label(brm.Comparisons([0, 1], [1, 2]))
    with pytest.raises(InvalidInputError, match="expected recorded votes, got none"):
        brm.ReplayAnnotator(VOTES[:0])


def test_consensus_counts_pairs_alike(pool):
    """Response 0: ½ over three votes on the pair with 1 (0 for b's), and 1 on the pair with 2."""
    consensus = VOTES.consensus(pool)
    assert consensus[0] == pytest.approx(((1 + 0 + 0.5) / 3 + 1) / 2)
    assert consensus[[1, 2, 3, 4]] == pytest.approx([0.5, 0.0, 1.0, 0.0])
    assert np.isnan(consensus[5:]).all()


def test_votes_of_some_prompts(world):
    votes = brm.Votes(world.preferences.first, world.preferences.second, world.preferences.outcome)
    some = votes.of_prompts(world.pool, np.array([1, 4]))
    group = world.pool.group
    expected = [
        k for k in range(len(votes)) if group[votes.first[k]] in (1, 4) and group[votes.second[k]] in (1, 4)
    ]
    assert len(expected) > 0
    assert some.first.tolist() == votes.first[expected].tolist()
    assert isinstance(some, brm.Votes)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_votes_come_back_from_files(tmp_path, form):
    table = pd.DataFrame({name: getattr(VOTES, name) for name in ("first", "second", "outcome", "annotator")})
    path = tmp_path / f"votes.{form}"
    if form == "parquet":
        table.to_parquet(path)
    elif form == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_json(path, orient="records", lines=True)
    loaded = brm.load_votes(path)
    for name in ("first", "second", "outcome", "annotator"):
        assert getattr(loaded, name).tolist() == getattr(VOTES, name).tolist()
    if form == "parquet":
        assert brm.load_votes(tmp_path).first.tolist() == VOTES.first.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("first,second\n0,1\n", "expected the columns first, second and outcome in .*, got first, second"),
        ("first,second,outcome\n", "expected votes in .*, got none"),
        ("first,second,outcome\n0,1,better\n", "a number in the column outcome of .*, got 'better' in vote 1"),
        ("first,second,outcome\n0,1.5,1\n", "whole row numbers in the column second"),
        ("first,second,outcome\n0,1,\n", "a number in the column outcome of .* in vote 1"),
        ("first,second,outcome\n0,0,1\n", "two different responses"),
        ("first,second,outcome\n0,1,2\n", "outcomes between 0"),
        ("first,second,outcome\n-1,1,1\n", "indices of at least 0"),
        ("", "cannot be read as votes"),
    ],
)
def test_files_that_are_no_votes_are_one_sentence(tmp_path, content, message):
    path = tmp_path / "votes.csv"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        brm.load_votes(path)
    with pytest.raises(InvalidInputError, match="does not exist"):
        brm.load_votes(tmp_path / "none.csv")
