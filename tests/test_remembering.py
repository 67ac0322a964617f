"""Fixtures that tests share give what no test changes: else what a test finds depends on which ran before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from remembering import remembers

import bayesrm as brm


def test_what_goes_on_from_call_to_call_is_known(laplace, golden, pool):
    live = brm.Live(laplace, brm.candidates(pool), "pa-dopt")
    for value in (brm.GoldenAnnotator(golden), live, np.random.default_rng(0), iter([0])):
        assert remembers(value)
        assert remembers((pool, {"a": [value]}))
    assert not remembers((pool, golden, laplace, "text"))


def given(request, scope: str) -> None:
    """A fixture of a scope that gives a generator, as the suite sees it."""
    path = str(Path(__file__).with_name("conftest.py"))
    (conftest,) = (
        each for each in request.config.pluginmanager.get_plugins() if getattr(each, "__file__", "") == path
    )
    setup = conftest.pytest_fixture_setup(SimpleNamespace(scope=scope, argname="chance"))
    next(setup)
    with pytest.raises(StopIteration):  # it has returned
        setup.send(np.random.default_rng(0))


@pytest.mark.parametrize("scope", ["module", "session"])
def test_a_shared_fixture_that_goes_on_is_refused(request, scope):
    with pytest.raises(AssertionError, match="the fixture chance is shared by tests"):
        given(request, scope)
    given(request, "function")
