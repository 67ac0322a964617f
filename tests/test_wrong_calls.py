"""Every wrong argument of every public name is refused in one sentence: hypothesis draws the call and the value."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import bayesrm as brm

sys.path.insert(0, str(Path(__file__).parent))
from wrong_calls import ABSTRACT, World, outcome, shown

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters(), max_size=20),  # halves of characters among them
    st.binary(max_size=5),
)
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=6,
)
ARRAYS = arrays.arrays(
    st.sampled_from(["f8", "f4", "i8", "u1", "?", "c16", "U3", "M8[s]"]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """In its own folder, since what is taken may be written; and with the types unchecked, as users have it."""
    folder = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            yield World(folder)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def calls(world):
    return list(world.calls())


@pytest.fixture(scope="module")
def arguments(world, calls):
    """Calls with each of their arguments."""
    return [(call, parameter) for call in calls for parameter in call.parameters]


def test_every_public_name_is_called(calls):
    called = {call.name.split(".")[0] for call in calls}
    assert set(brm.__all__) - called == ABSTRACT - called
    assert {name for name in ABSTRACT if not inspect.isabstract(getattr(brm, name))} <= {"Encoder"}


def test_what_is_valid_works(calls):
    for call in calls:
        call()


@given(st.data())
@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_argument_is_refused_in_one_sentence(world, arguments, data):
    call, parameter = data.draw(st.sampled_from(arguments))
    value = data.draw(st.sampled_from(world.wrong) | NESTED | ARRAYS)
    found = outcome(call, parameter, value)
    assert found.kind in ("sentence", "works"), (
        f"{call.name}({parameter}={shown(value)}): {found.kind} {found.said}"
    )
