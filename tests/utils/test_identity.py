"""What tells objects of a user's own apart: settings, and code with all that it takes from around it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch

from bayesrm.utils.identity import code_digest, plain, settings_of

SOURCE = """
from bayesrm.utils.identity import code_digest
{around}
def helper(x):
    return x in {{"a", "b", "c"}}
def made(scale):
    def function(x, power={power}):
        return [helper(y) * {constant} * scale ** power for y in x]
    return function
print(code_digest(made({scale})))
"""


def _digest(around="", power=2, constant=0.1, scale=1.0):
    code = SOURCE.format(around=around, power=power, constant=constant, scale=scale)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_same_code_is_the_same_in_every_process_and_wherever_it_stands():
    assert _digest() == _digest(around="\n\n# a comment\n") == _digest()
    assert len({_digest(), _digest(power=3), _digest(constant=0.2), _digest(scale=2.0)}) == 4


LEVEL = 1.0


def _with(value):
    def function(x):
        return x + value

    return function


def _reads_level(x):
    return x * LEVEL


class Called:
    def __init__(self, slope):
        self.slope = slope

    def __call__(self, x):
        return self.slope * x


class Halved(Called):
    def __call__(self, x):
        return self.slope * x / 2


def test_what_code_takes_from_around_it_tells_it_apart(monkeypatch):
    different = [
        _with(1),
        _with(2),
        _with((1, 2.5)),
        _with(np.arange(3)),
        _with(np.arange(4)),
        _with(torch.ones(2)),
        _with(_with(1)),
        _with(_with(2)),
        lambda x: x + 1,
        lambda x: x + 2,
        lambda x: [y + 1 for y in x],
        lambda x: [y + 2 for y in x],
        partial(_with(1), 1),
        partial(_with(1), 2),
        Called(1.0),
        Called(2.0),
        Called(1.0).__call__,
        Halved(1.0),
        len,
        print,
        _reads_level,
    ]
    digests = {code_digest(each) for each in different}
    assert len(digests) == len(different)
    assert code_digest(_with(np.arange(3))) in digests
    assert code_digest(Called(2.0)) in digests
    assert code_digest(np.add) == code_digest(np.add), "which has no code in Python"
    monkeypatch.setitem(globals(), "LEVEL", 2.0)
    assert code_digest(_reads_level) not in digests


def test_code_that_calls_itself_ends():
    def around(x):
        return around(x - 1) if x else 0

    assert code_digest(around) == code_digest(around)


def test_settings_are_plain_attributes_that_are_not_usual_and_that_no_method_writes():
    @dataclass
    class Inner:
        depth: int = 3

    class Part:
        def __init__(self, usual=0.5, other=0.5, levels=(1, 2)):
            self.usual, self.other, self.levels = usual, other, levels
            self.calls, self.inner, self.pool = 0, Inner(), object()
            self.table, self.count = np.ones(2), np.int64(4)

        def label(self):
            self.calls += 1

    part = Part(other=0.7, levels=(1, 3))
    part.label()
    told = settings_of(part)
    assert told == {
        "other": 0.7, "levels": [1, 3], "inner": {"depth": 3}, "count": 4, "table": plain(np.ones(2))
    }  # fmt: skip
    assert plain(np.ones(2)) != plain(np.ones(3))
    assert plain(np.array(["a", "b"], dtype=object)) != plain(np.array(["a", "c"], dtype=object))


def test_settings_in_slots():
    @dataclass(frozen=True, slots=True)
    class Part:
        power: float = 1.0

    assert settings_of(Part(2.0)) == {"power": 2.0}
    assert settings_of(Part()) == {}


@pytest.mark.parametrize("value", [object(), object, torch.nn.Linear(1, 1)])
def test_what_is_no_setting_is_none(value):
    assert plain(value) is None
