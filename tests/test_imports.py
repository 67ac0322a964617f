"""Imports point one way: every module belongs to a layer and imports from its own or an earlier one only."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import bayesrm as brm

PACKAGE = Path(brm.__file__).parent

LAYERS = (
    ("errors", "registry", "rng", "types", "utils"),
    ("data",),
    ("embedding",),
    ("models",),
    ("posteriors",),
    ("inference",),
    ("design",),
    ("annotators", "evaluation"),
    ("diagnostics", "export"),
    ("runs",),
    ("campaign",),
    ("plots",),
    ("study",),
    ("reports",),
    ("inspection",),
    ("cli", "__main__"),
)
"""Rooms, in the order in which data flows."""
DRAWING = {"plots", "reports", "study"}
LAYER = {name: depth for depth, names in enumerate(LAYERS) for name in names}

API = {
    "Campaign",
    "GoldenAnnotator",
    "Live",
    "Preferences",
    "ReplayAnnotator",
    "ResponsePool",
    "RewardModel",
    "Votes",
    "baselines",
    "candidates",
    "compare",
    "designs",
    "diagnose",
    "evaluate",
    "fit",
    "forecast",
    "headroom",
    "load_golden",
    "load_pool",
    "load_preferences",
    "load_reward_model",
    "load_votes",
    "open_results",
    "register",
    "replay",
    "run",
    "save_pool",
    "save_reward_model",
    "select",
}
TYPES = {
    "Annotator", "CandidateSet", "Comparisons", "Criterion", "Design", "Encoder", "Forecast", "Inference", "Likelihood",
    "ListSelection",
    "RewardPosterior", "RoundRecord", "Selection", "Selector",
}  # fmt: skip


@cache
def _modules() -> dict[str, Path]:
    """Dotted name → file of every module but the root, which imports nothing until it is asked."""
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = file
    return found


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _nodes(node: ast.AST, typing: bool):
    for child in ast.iter_child_nodes(node):
        if typing or not _only_for_types(child):
            yield child
            yield from _nodes(child, typing)


@cache
def _imports(module: str, typing: bool) -> frozenset[str]:
    """Dotted names that a module imports, anywhere in it; with ``typing`` also those for annotations only."""
    names = set()
    for node in _nodes(ast.parse(_modules()[module].read_text()), typing):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"bayesrm.{module} has a relative import: write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _own(module: str, typing: bool) -> set[str]:
    """Modules of the package that a module imports."""
    found = set()
    for name in _imports(module, typing):
        while name.startswith("bayesrm."):
            if name.removeprefix("bayesrm.") in _modules():
                found.add(name.removeprefix("bayesrm."))
                break
            name = name.rpartition(".")[0]
    return found


def test_few_modules_lie_outside_of_rooms():
    loose = {file.stem for file in PACKAGE.glob("*.py")}
    assert loose == {"__init__", "errors", "registry", "rng", "types"}


def test_every_room_says_what_it_is_for():
    for folder in {file.parent for file in PACKAGE.rglob("*.py")}:
        room = folder / "__init__.py"
        assert room.exists(), f"{folder} has no __init__.py"
        assert ast.get_docstring(ast.parse(room.read_text())), f"{room} has no docstring"


@pytest.mark.parametrize("module", sorted(_modules()))
def test_imports_point_one_way(module):
    home = module.split(".")[0]
    assert home in LAYER, f"bayesrm.{home} is in no layer: give it one in LAYERS"
    for imported in _own(module, typing=True):
        assert LAYER[imported.split(".")[0]] <= LAYER[home], (
            f"bayesrm.{module} imports bayesrm.{imported}, which belongs to a later layer"
        )


def test_no_import_cycles():
    graph = {module: _own(module, typing=False) - {module} for module in _modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other in a circle: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("module", sorted(_modules()))
def test_only_plots_and_report_import_matplotlib(module):
    drawing = {name for name in _imports(module, typing=True) if name.split(".")[0] == "matplotlib"}
    assert not drawing or module.split(".")[0] in DRAWING, (
        f"bayesrm.{module} imports {drawing}: plotting lives in plots"
    )


@pytest.mark.parametrize("module", sorted(_modules()))
def test_global_generators_are_touched_in_one_module_only(module):
    text = _modules()[module].read_text()
    forbidden = ("manual_seed(", "set_rng_seed(", "np.random.seed(", "random.fork_rng(", "clear_param_store(")
    assert module == "rng" or not [call for call in forbidden if call in text]


def test_dir_shows_the_public_surface_and_nothing_else():
    assert set(dir(brm)) == set(brm.__all__) == API | TYPES


@pytest.mark.parametrize("name", sorted(API | TYPES))
def test_every_public_name_can_be_imported_and_is_documented(name):
    assert getattr(brm, name).__doc__


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'bayesrm' has no attribute 'choose'"):
        brm.choose  # noqa: B018


def test_importing_loads_nothing_from_outside_of_the_standard_library():
    """So that it takes no time; what is asked for brings what it needs."""
    code = (
        "import sys; before = set(sys.modules); import bayesrm; dir(bayesrm); "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "['bayesrm']"


@pytest.mark.parametrize(
    "module", ["runs.loop", "design", "inference", "evaluation.metrics", "runs.results", "runs.sweep"]
)
def test_modules_exist(module):
    assert import_module(f"bayesrm.{module}").__doc__
