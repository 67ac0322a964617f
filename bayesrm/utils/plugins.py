"""Parts that live outside of bayesrm: in a package or a file of the user's.

A plugin is a module in which classes with a ``name`` are defined: a criterion, a hand-off, a diagnostic check, … ; or
a package, whose modules are all looked through: a new part is one new file there too. It is found in three ways.

- An installed package declares it as an entry point of the group ``bayesrm.plugins``.
- ``bayesrm --plugin MODULE …`` or ``bayesrm --plugin FILE.py …`` names it on the command line.
- The environment variable ``BAYESRM_PLUGINS`` lists modules and files, separated as ``PATH`` is; worker processes
  inherit it.

In Python, :func:`bayesrm.register` adds a single class. Plugins run with the user's rights, as any import does; no file
of a pool, a run or a campaign names one.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from bayesrm.errors import InvalidInputError

GROUP = "bayesrm.plugins"
"""Entry points of installed packages: any name, and the module."""
VARIABLE = "BAYESRM_PLUGINS"

_loaded: dict[str, ModuleType] = {}
_added: list[type[Any]] = []
_loading = False
_asked: str | None = None
"""What the environment asked for when plugins were last loaded."""


def version() -> tuple[object, ...]:
    """Another one as soon as anything is loaded, added or taken away."""
    return (*_loaded.values(), *_added)


def classes() -> list[type[Any]]:
    """Every class with a name that plugins define, and those that were added by hand."""
    found = [member for module in _loaded.values() for member in _named(module)]
    return [*dict.fromkeys([*found, *_added])]


def add(part: type[Any]) -> None:
    """Add one class."""
    if part not in _added:
        _added.append(part)


def ask_for(names: list[str]) -> None:
    """Load these plugins in this process, and in those that it starts; files by their whole path.

    Raises
    ------
    InvalidInputError
        Where one cannot be imported, or defines no class with a name.
    """
    here = [str(Path(name).absolute()) if name.endswith(".py") else name for name in names]
    if any(not name.endswith(".py") for name in here) and "" not in sys.path and str(Path.cwd()) not in sys.path:
        # As python -m does: a module in the folder that the command is given in.
        sys.path.insert(0, str(Path.cwd()))
    listed = [*filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)), *here]
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys(listed))
    load()


def load() -> None:
    """Load what entry points and the environment ask for, once."""
    global _asked, _loading
    asked = os.environ.get(VARIABLE, "")
    if _loading or asked == _asked:  # a plugin that asks for parts while it is imported sees those before it
        return
    _loading = True
    try:
        for name in [
            *(entry.value for entry in entry_points(group=GROUP)),
            *filter(None, asked.split(os.pathsep)),
        ]:
            if name not in _loaded:
                module = _imported(name)
                if not _named(module):
                    raise InvalidInputError(
                        f"expected the plugin {name} to define a part, a class with name = '…', found none"
                    )
                _loaded[name] = module
        _asked = asked
    finally:
        _loading = False


def _imported(name: str) -> ModuleType:
    try:
        if name.endswith(".py"):
            return _from_file(Path(name))
        module = importlib.import_module(name)
        _named(module)
        return module
    except InvalidInputError:
        raise
    except Exception as error:
        raise InvalidInputError(
            f"the plugin {name} cannot be imported ({type(error).__name__}: {error}): expected a file FILE.py, or a "
            "module that is installed or lies in this folder"
        ) from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InvalidInputError(f"there is no plugin {path}")
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None or path.stem in sys.modules:
        raise InvalidInputError(f"the plugin {path} cannot be imported as {path.stem}: give the file another name")
    module = sys.modules[path.stem] = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _named(module: ModuleType) -> list[type[Any]]:
    """Classes with a name of their own that a module, or a package in its modules, defines."""
    modules = [module]
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        modules.append(importlib.import_module(f"{module.__name__}.{found.name}"))
    return [
        member
        for member in dict.fromkeys(
            value for each in modules for value in vars(each).values() if inspect.isclass(value)
        )
        if isinstance(vars(member).get("name"), str) and f"{member.__module__}.".startswith(f"{module.__name__}.")
    ]
