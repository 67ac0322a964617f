"""Shapes in signatures, checked while tests run: by jaxtyping, at the first calls of each function in each test.

A check costs more than most of what is checked, and a function that is called a thousand times in a loop gets the same
shapes each time. So the first :data:`CALLS` of a test are checked and the others go straight through; and only modules
that write shapes into signatures are looked at at all.

jaxtyping's own decorator checks the arguments twice, before a call and again with what it returned, and binds them to
the signature for its messages; together that was a fourth of the time of the tests of designs. Here beartype wraps the
function itself, within a context of jaxtyping's that holds the sizes of the axes: each argument is checked once.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import beartype
import jaxtyping
from beartype.roar import BeartypeCallHintViolation

import bayesrm

CALLS = 5
_called: Counter[int] = Counter()
_axes = jaxtyping.jaxtyped("context")
"""Within it, and within each one inside of it anew, an axis has one size."""


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
            # beartype would hold what a generator yields against sizes of wherever it is asked for it.
            if inspect.isgeneratorfunction(function):
                return jaxtyped(function, typechecker=typechecker)
            return beartype.beartype(_with_annotations(function))

        key = id(function.__code__)  # one for a function that is defined at each call of another

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if _called[key] == CALLS or jaxtyping.config.jaxtyping_disable:
                return function(*args, **kwargs)
            _called[key] += 1
            try:
                with _axes:
                    return checked()(*args, **kwargs)
            except BeartypeCallHintViolation as violation:
                raise jaxtyping.TypeCheckError(str(violation)) from None

        return call

    return decorate


def _with_annotations(function: Any) -> types.FunctionType:
    """A copy whose annotations are what their text says; one that only type checkers can read becomes Any."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__module__, copy.__qualname__ = (
        function.__kwdefaults__, function.__module__, function.__qualname__
    )  # fmt: skip
    copy.__annotations__ = {name: _read(function, name) for name in function.__annotations__}
    return copy


def _read(function: Any, name: str) -> Any:
    alone = types.SimpleNamespace(__annotations__={name: function.__annotations__[name]})
    try:
        return typing.get_type_hints(alone, function.__globals__, include_extras=True)[name]
    except Exception:  # such as a NameError, where it is imported under TYPE_CHECKING
        return Any


def _modules_with_shapes() -> list[str]:
    """All but bayesrm.types: its value types take whatever becomes an array and check it themselves, with messages."""
    root = Path(bayesrm.__path__[0])
    files = [path for path in root.rglob("*.py") if "jaxtyping" in path.read_text(encoding="utf-8")]
    named = {path.relative_to(root.parent).with_suffix("").as_posix().replace("/", ".") for path in files}
    return sorted(named - {"bayesrm.types"})
