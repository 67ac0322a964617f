"""Docstrings of the public names: their examples are run, and each says what it takes, gives and goes with."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from remembering import remembers

import bayesrm as brm
from bayesrm.utils import plugins

ROOT = Path(__file__).parent.parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@cache
def _given() -> dict[str, object]:
    """What examples take as given; the first page of the reference says so."""
    page = (ROOT / "docs/reference/api.rst").read_text()
    lines = re.findall(r"^   (?:>>>|\.\.\.) (.*)", page, flags=re.MULTILINE)
    namespace: dict[str, object] = {}
    exec("\n".join(lines).replace("data/quickstart", str(ROOT / "data/quickstart")), namespace)
    return namespace


@pytest.fixture
def known() -> dict[str, object]:
    """The same for each test: an annotator and other things that go on from call to call are its own."""
    return {name: deepcopy(value) if remembers(value) else value for name, value in _given().items()}


def _doctests(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(recurse=True).find(getattr(brm, name), name, module=False)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", brm.__all__)
def test_examples_run_as_pasted(name, known, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.setattr(plugins, "_added", list(plugins._added))
    tests = _doctests(name)
    assert tests, f"{name} has no example"
    for test in tests:
        test.globs = known | {"__name__": "example"}
        printed: list[str] = []
        result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=printed.append)
        assert not result.failed, "".join(printed)


@pytest.mark.parametrize("name", brm.__all__)
def test_each_says_what_it_goes_with(name):
    text = inspect.getdoc(getattr(brm, name)) or ""
    assert "\nSee Also\n" in text
    assert "\nExamples\n" in text
    for other in _see_also(text):
        assert other in brm.__all__ or "." in other, f"See Also of {name}: there is no {other}"


def _see_also(text: str) -> list[str]:
    section = text.split("\nSee Also\n--------\n")[1].split("\n\n")[0]
    return [
        other.strip()
        for line in section.splitlines()
        if " : " in line
        for other in line.split(" : ")[0].split(",")
    ]


@pytest.mark.parametrize("name", brm.__all__)
def test_each_parameter_has_a_type_and_is_one(name):
    found = getattr(brm, name)
    text = inspect.getdoc(found) or ""
    described = _described(text, "Parameters")
    assert all(kind for _, kind in described), [parameter for parameter, kind in described if not kind]
    takes = set(inspect.signature(found).parameters)
    if dataclasses.is_dataclass(found):
        takes = {field.name for field in dataclasses.fields(found) if field.init}
    names = {parameter for parameter, _ in described}
    if inspect.isfunction(found) or names:
        assert names == takes


def _described(text: str, title: str) -> list[tuple[str, str]]:
    """Names with their types, as a section has them."""
    parts = text.split(f"{title}\n{'-' * len(title)}\n")
    if len(parts) == 1:
        return []
    found = []
    for line, following in zip(parts[1].splitlines(), [*parts[1].splitlines()[1:], ""], strict=True):
        if following and not set(following) - {"-"}:
            break
        if line and not line.startswith(" "):
            names, _, kind = line.partition(" : ")
            found += [(name.strip().lstrip("*"), kind) for name in names.split(",")]
    return found


def test_the_reference_lists_every_public_name():
    page = (ROOT / "docs/reference/api.rst").read_text()
    listed = re.findall(r"^   (\w+)$", page, flags=re.MULTILINE)
    assert sorted(listed) == sorted(brm.__all__), "docs/reference/api.rst lists each once, under a heading"


def test_examples_know_what_they_take_as_given(known):
    assert isinstance(known["posterior"], brm.RewardPosterior)
    assert isinstance(known["np"], type(np))
