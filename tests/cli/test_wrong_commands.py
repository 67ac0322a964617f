"""Every wrong command line, and every damaged file of our own, ends in one sentence: hypothesis draws them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
from wrong_commands import Desk, commands, inside, run

PAGES_OF_NAMES = {
    "designs", "selectors", "inferences", "likelihoods", "encoders", "formats", "checks", "annotators", "handoffs",
    "label-formats",
}  # fmt: skip
"""Commands that take nothing."""
BOUNDED = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": [Phase.generate],
    "suppress_health_check": [HealthCheck.too_slow],
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("commands"))


def test_every_command_is_tried(desk):
    assert {name for name, _ in commands()} - set(desk.calls()) == PAGES_OF_NAMES


@pytest.mark.parametrize("mistake", [Desk.wrong, Desk.damaged], ids=["a wrong value", "a damaged file of ours"])
@given(random=st.randoms(use_true_random=False))
@settings(max_examples=28, **BOUNDED)
@pytest.mark.filterwarnings("ignore")
def test_a_mistake_ends_in_one_sentence(desk, mistake, random):
    arguments = mistake(desk, random)
    with inside(desk.folder):
        ended = run(*arguments)
    assert ended.fine, f"{arguments}: status {ended.status}, {ended.said}"
