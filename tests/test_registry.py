"""Parts from outside of bayesrm: a registered class, a file or module of the command line, an entry point."""

from __future__ import annotations

import os
import sys
import textwrap
from operator import attrgetter

import pytest

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.errors import InvalidInputError, UnknownNameError
from bayesrm.utils import plugins
from bayesrm.utils.processes import worker_processes

PART = '''
"""A plugin."""

from bayesrm.design.base import Criterion
from bayesrm.design.criteria.random import Random


class {name}(Criterion):
    """Pairs in the order in which they stand."""

    name = "{part}"
    default_selector = "top"
    selects_itself = True

    def objective(self, posterior, candidates):
        return Random().objective(posterior, candidates)
'''


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What a test loads is gone after it."""
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(plugins, "_added", [])
    monkeypatch.setattr(plugins, "_asked", None)
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("plugged"):
            del sys.modules[name]


def _written(folder, stem, name="Standing", part="standing"):
    path = folder / f"{stem}.py"
    path.write_text(textwrap.dedent(PART.format(name=name, part=part)))
    return path


def test_as_many_parts_as_before_are_not_taken_for_the_same(monkeypatch):
    for each in ("one", "another"):
        part = type("Part", (CRITERIA["maxdiff"],), {"name": each, "__module__": __name__})
        monkeypatch.setattr(plugins, "_added", [part])
        assert each in CRITERIA


def test_a_registered_class_is_found_by_its_name(laplace, few_candidates):
    assert "mine" not in brm.designs()

    @brm.register
    class Mine(brm.Criterion):
        """Mine."""

        name = "mine"
        default_selector = "top"

        def objective(self, posterior, candidates):
            return CRITERIA["maxdiff"]().objective(posterior, candidates)

    assert brm.designs()["mine"] == "Mine."
    mine, same = (brm.select(laplace, few_candidates, design, 3, seed=1) for design in ("mine", "maxdiff"))
    assert mine.first.tolist() == same.first.tolist()
    assert brm.register(Mine) is Mine, "the same class again changes nothing"


@pytest.fixture
def few_candidates(pool):
    return brm.candidates(pool, "cross-prompt", size=20, seed=0)


def _class(base, **members):
    return type("Part", (base,), members)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (3, "expected a class with a name of its own"),
        (_class(brm.Criterion), "expected a class with a name of its own"),
        (_class(object, name="x"), "expected a part: a subclass of a base class such as .*Criterion"),
        (_class(brm.Criterion, name="x"), "the design 'x' .* does not define objective"),
        (_class(brm.Criterion, name="bald", objective=lambda *_: None), "both have a design 'bald'"),
    ],
    ids=["no class", "no name", "no part", "not complete", "taken"],
)
def test_what_is_no_part_is_refused(part, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.register(part)
    assert plugins.classes() == []


def test_a_file_is_a_plugin(tmp_path):
    with pytest.raises(UnknownNameError):
        CRITERIA["standing"]
    plugins.ask_for([str(_written(tmp_path, "plugged_file"))])
    assert CRITERIA["standing"].__module__ == "plugged_file"
    assert os.environ[plugins.VARIABLE] == str(tmp_path / "plugged_file.py"), "worker processes inherit it"
    assert [part.name for part in plugins.classes()] == ["standing"], "what a plugin imports is not its own"


def test_a_part_of_a_plugin_is_sent_to_another_process(tmp_path):
    plugins.ask_for([str(_written(tmp_path, "plugged_sent"))])
    part = CRITERIA["standing"]()
    with worker_processes(1, print, part) as processes:
        assert processes.submit(attrgetter("name"), part).result() == "standing"


def test_a_package_is_a_plugin_with_all_of_its_modules(tmp_path, monkeypatch):
    package = tmp_path / "plugged_package"
    package.mkdir()
    _written(package, "one")
    _written(package, "two", "Sitting", "sitting")
    (package / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    plugins.ask_for(["plugged_package"])
    assert CRITERIA["standing"].__module__ == "plugged_package.one"
    assert CRITERIA["sitting"].__module__ == "plugged_package.two"
    _written(package, "three", "Broken", "broken").write_text("import no_such_module_anywhere")
    plugins._loaded.clear()
    plugins._asked = None
    with pytest.raises(InvalidInputError, match=r"plugged_package cannot be imported \(ModuleNotFoundError"):
        plugins.load()


def test_an_installed_package_declares_its_plugin(tmp_path, monkeypatch):
    _written(tmp_path, "plugged_entry")
    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bayesrm.plugins]\nparts = plugged_entry\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert CRITERIA["standing"].__module__ == "plugged_entry"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no plugin"),
        ("import no_such_module_anywhere", "cannot be imported .ModuleNotFoundError: No module named"),
        ("x = 1", "to define a part, a class with name"),
    ],
    ids=["missing", "broken", "empty"],
)
def test_plugins_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "plugged_bad.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        plugins.ask_for([str(path)])
    assert "plugged_bad" not in sys.modules or text == "x = 1"


def test_two_plugins_with_one_name(tmp_path):
    paths = [str(_written(tmp_path, stem)) for stem in ("plugged_one", "plugged_two")]
    plugins.ask_for(paths)
    with pytest.raises(InvalidInputError, match="plugged_two and plugged_one both have a design 'standing'"):
        list(CRITERIA)


def test_a_plugin_on_the_command_line(tmp_path, command):
    path = _written(tmp_path, "plugged_command")
    status, shown, _ = command("--plugin", path, "designs")
    assert (status, "standing" in shown) == (0, True)
    status, _, refused = command("--plugin", tmp_path / "absent.py", "designs")
    assert status == 2
    assert refused.startswith("bayesrm: there is no plugin")
