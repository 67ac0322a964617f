"""Shapes in signatures, checked while tests run: by jaxtyping, at the first calls of each function in each test.

A check costs some 0.1 ms a call, more than most of what is checked, and a function that is called a thousand times in
a loop gets the same shapes each time. So the first :data:`CALLS` of a test are checked and the others go straight
through; and only modules that write shapes into signatures are looked at at all.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping

import bayesrm

CALLS = 5
_called: Counter[int] = Counter()


def check_shapes() -> None:
    """From here on; before the modules that it is about are imported."""
    jaxtyping.jaxtyped = functools.partial(_first_calls, jaxtyping.jaxtyped)
    jaxtyping.install_import_hook(_modules_with_shapes(), "beartype.beartype")


def start_again() -> None:
    """Another test begins."""
    _called.clear()


def _first_calls(jaxtyped: Callable[..., Any], *, typechecker: Any) -> Callable[[Any], Any]:
    """The decorator that the hook puts onto every function and class of a module."""

    def decorate(function: Any) -> Any:
        if isinstance(function, type):
            return jaxtyped(function, typechecker=typechecker)

        @functools.cache
        def checked() -> Any:
            return jaxtyped(function, typechecker=typechecker)

        key = id(function.__code__)  # one for a function that is defined at each call of another

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if _called[key] == CALLS:
                return function(*args, **kwargs)
            _called[key] += 1
            return checked()(*args, **kwargs)

        return call

    return decorate


def _modules_with_shapes() -> list[str]:
    """All but bayesrm.types: its value types take whatever becomes an array and check it themselves, with messages."""
    root = Path(bayesrm.__path__[0])
    files = [path for path in root.rglob("*.py") if "jaxtyping" in path.read_text(encoding="utf-8")]
    named = {path.relative_to(root.parent).with_suffix("").as_posix().replace("/", ".") for path in files}
    return sorted(named - {"bayesrm.types"})
