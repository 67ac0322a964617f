"""What holds of every annotator of a simulated run: an answer a pair, in order, the same in a resumed run."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.annotators import ANNOTATORS

GOLDEN = np.linspace(-2, 2, 30)
KNOWN = {"golden": GOLDEN, "temperature": 2.0, "flip": 0.0, "annotators": 3, "spread": 0.5, "seed": 7}
SIMULATED = sorted(
    name
    for name, part in ANNOTATORS.items()
    if all(p.default is not p.empty or p.name in KNOWN for p in inspect.signature(part).parameters.values())
)
NOT_SIMULATED = sorted(set(ANNOTATORS) - set(SIMULATED))


@pytest.fixture
def pairs():
    random = np.random.default_rng(0)
    first = random.integers(30, size=400)
    return brm.Comparisons(first, (first + random.integers(1, 30, size=400)) % 30)


def test_those_of_simulated_runs_are_found():
    assert {"golden", "crowd"} <= set(SIMULATED)
    assert {"hub", "replay"} <= set(NOT_SIMULATED)


@pytest.mark.parametrize("name", SIMULATED)
def test_it_answers_every_pair_in_order(name, pairs):
    annotator = ANNOTATORS[name].made_of(KNOWN)
    answers = annotator.label(pairs)
    np.testing.assert_array_equal(answers.first, pairs.first)
    np.testing.assert_array_equal(answers.second, pairs.second)
    assert ((answers.outcome >= 0) & (answers.outcome <= 1)).all()
    decided = answers.outcome != 0.5
    right = (GOLDEN[pairs.first] > GOLDEN[pairs.second]) == (answers.outcome > 0.5)
    assert right[decided].mean() > 0.75
    empty = annotator.label(brm.Comparisons(np.array([], dtype=int), np.array([], dtype=int)))
    assert len(empty) == 0


@pytest.mark.parametrize("name", SIMULATED)
def test_a_round_has_the_same_answers_whatever_was_asked_before(name, pairs):
    fresh, used = (ANNOTATORS[name].made_of(KNOWN) for _ in range(2))
    used.label(pairs)
    used.at_round(0).label(pairs)
    one, two = (annotator.at_round(3).label(pairs).outcome for annotator in (fresh, used))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", SIMULATED)
def test_its_settings_are_recorded(name):
    one = ANNOTATORS[name].made_of(KNOWN).describe()
    assert json.loads(json.dumps(one)) == one
    assert one["annotator"] == ANNOTATORS[name].__name__


@pytest.mark.parametrize("name", NOT_SIMULATED)
def test_what_a_simulated_run_lacks_is_named(name):
    with pytest.raises(brm.errors.InvalidInputError, match=rf"the annotator '{name}' needs .*make it in Python"):
        ANNOTATORS[name].made_of(KNOWN)


def test_a_setting_that_an_annotator_does_not_take_is_refused(command, tmp_path, make_world):
    world = make_world(sizes=(4,) * 6, dim=3)
    brm.save_pool(tmp_path / "pool", world.pool, world.golden)
    arguments = ("run", tmp_path / "pool", "--annotator", "golden", "--flip", "0.2")
    status, _, err = command(*arguments, "--out", tmp_path / "out")
    assert status == 2
    assert "the annotator 'golden' takes no flip: leave it out" in err
