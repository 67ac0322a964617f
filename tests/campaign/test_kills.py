"""A campaign and a run that are killed at their writes and at random moments: nothing is lost, nothing is doubled.

A short form of ``tests/benchmarks/kills.py``, which kills a thousand times.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from kills import kill, run_life, short_life


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_whatever_command_is_killed_labels_are_kept_and_it_ends_as_without(tmp_path):
    steps = short_life()
    counts = kill(tmp_path, 10, seed=0, lives={"campaign": steps})
    assert set(counts) == {step.name for step in steps}
    for name, count in counts.items():
        assert count.kills >= 1, name
        assert (count.lost, count.doubled, count.misplaced, count.problems) == (0, 0, 0, []), name
    assert sum(count.looked_for for count in counts.values()) > 150


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_run_that_is_killed_ends_in_the_same_bytes(tmp_path):
    (count,) = kill(tmp_path, 2, seed=1, lives={"run": run_life(rounds=2)}).values()
    assert count.kills == 2
    assert (count.lost, count.doubled, count.misplaced, count.problems) == (0, 0, 0, [])
