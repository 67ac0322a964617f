"""What holds of parts of every kind: they are listed, exported and documented, and base classes show a new one."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module

import pytest

from bayesrm.cli.lists import KINDS, registry_of
from bayesrm.registry import Registry

PARTS = [(command, name) for command in KINDS for name in registry_of(command)]


def test_every_registry_is_listed_by_a_command():
    assert {id(registry_of(command)) for command in KINDS} == {id(registry) for registry in Registry.opened}


@pytest.mark.parametrize(("command", "name"), PARTS)
def test_a_part_is_documented_in_one_line_that_lists_can_show(command, name):
    registry = registry_of(command)
    part = registry[name]
    assert part.name == name
    assert inspect.isclass(part)
    line = registry.lines()[name].splitlines()[0]
    assert line == line.strip()
    assert line.endswith(".")
    assert vars(part).get("__doc__"), f"{part} has the docstring of its base class"


@pytest.mark.parametrize(("command", "name"), PARTS)
def test_a_part_can_be_made_without_settings_or_says_why_not(command, name):
    """Names are asked for without settings: those of a part have defaults, but for what the caller always gives."""
    part = registry_of(command)[name]
    given = registry_of(command).always_given
    needed = {
        parameter.name
        for parameter in inspect.signature(part).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    assert needed <= set(given)


@pytest.mark.parametrize(("command", "name"), PARTS)
def test_the_class_of_a_part_is_imported_from_its_package(command, name):
    part = registry_of(command)[name]
    package = import_module(part.__module__.rpartition(".")[0])
    assert getattr(package, part.__name__) is part


@pytest.mark.parametrize("command", list(KINDS))
def test_the_base_class_shows_a_whole_new_part_that_runs(command):
    base = registry_of(command).base
    (test,) = doctest.DocTestFinder(recurse=False).find(base, base.__name__, globs={})
    assert any("name = " in example.source for example in test.examples), f"{base} shows no new part"
    assert any("(" in example.source and "class " in example.source for example in test.examples)
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False)
    assert not failed
    made = [
        member
        for member in test.globs.values()
        if inspect.isclass(member) and issubclass(member, base) and "name" in vars(member)
    ]
    assert made
    for part in made:
        registry_of(command)._require_new(part, {})
