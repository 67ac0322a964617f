"""What tells one object of a user's own from another: its settings as JSON-able values, its code in a digest.

A folder of results says with these what it was made with, so that nothing is asked of memory, of times or of places:
the same source and settings are the same in every process. Code is the bytecode with its constants, and what it takes
from around it: closed-over values, defaults, globals that it reads, and functions of the same module that it calls.
"""

from __future__ import annotations

import dis
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import Parameter, signature
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from bayesrm.utils.arrays import as_array

_MADE_IN = ("__init__", "__post_init__", "__new__")


def plain(value: Any) -> Any:
    """A setting as JSON has it, arrays and functions as digests; None for what is neither of these."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(each) for each in value), key=repr)
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if _is_array(value):
        return _sha256(_array(value))
    if is_dataclass(value) and not isinstance(value, type) and is_own(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return code_digest(value) if isinstance(value, FunctionType | MethodType | partial) else None


def settings_of(part: Any) -> dict[str, Any]:
    """The plain attributes of an object, by their names.

    Left out are those at the default of the argument of the class by that name, and what methods write: that is no
    setting, such as a count of calls.
    """
    usual = _defaults(type(part))
    state = set(_written(type(part)))
    told = {}
    for name, value in _attributes(part).items():
        said = plain(value)
        if said is None or name in state or (name in usual and said == plain(usual[name])):
            continue
        told[name] = said
    return told


def code_digest(function: Any) -> str:
    """SHA-256 of the code of a callable, and of what it takes from around it."""
    return _sha256(_told(function, ()))


def is_own(part: Any) -> bool:
    """Whether the class of an object is the user's, and none of bayesrm's."""
    return type(part).__module__.split(".")[0] != __name__.split(".")[0]


def _told(value: Any, above: tuple[int, ...]) -> Any:
    """Lists of numbers, texts and bytes that are the same in every process; ``above`` is what this is a part of."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    if id(value) in above:
        return "again"
    above = (*above, id(value))
    if isinstance(value, CodeType):
        return [value.co_code, list(value.co_names), [_told(each, above) for each in value.co_consts]]
    if isinstance(value, FunctionType):
        return _function(value, above)
    if isinstance(value, MethodType):
        return ["method", _told(value.__func__, above), _told(value.__self__, above)]
    if isinstance(value, partial):
        return ["partial", *(_told(each, above) for each in (value.func, value.args, value.keywords))]
    if isinstance(value, type | ModuleType | BuiltinFunctionType):
        return [getattr(value, "__module__", None), getattr(value, "__qualname__", value.__name__)]
    if isinstance(value, list | tuple):
        return [_told(each, above) for each in value]
    if isinstance(value, set | frozenset):
        return ["set", *sorted((_told(each, above) for each in value), key=repr)]
    if isinstance(value, Mapping):
        return ["mapping", *([_told(key, above), _told(each, above)] for key, each in value.items())]
    if _is_array(value):
        return _array(value)
    kind = type(value)
    if not is_own(value):  # such as the pool, which a run knows anyway
        return [kind.__module__, kind.__qualname__]
    bases = [base for base in kind.__mro__ if base.__module__ == kind.__module__]
    methods = [each for base in bases for each in vars(base).values() if isinstance(each, FunctionType)]
    return [kind.__module__, kind.__qualname__, _told(methods, above), sorted(settings_of(value).items())]


def _function(function: FunctionType, above: tuple[int, ...]) -> list[Any]:
    around = [_cell(cell) for cell in function.__closure__ or ()]
    read = {name: function.__globals__[name] for name in _reads(function.__code__) if name in function.__globals__}
    for name, value in read.items():
        # Libraries are told by their names: another version of them is no other program.
        if isinstance(value, FunctionType) and value.__module__ != function.__module__:
            read[name] = [value.__module__, value.__qualname__]
    parts = (function.__code__, around, function.__defaults__, function.__kwdefaults__)
    return [*(_told(part, above) for part in parts), sorted((name, _told(read[name], above)) for name in read)]


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _reads(code: CodeType) -> set[str]:
    """The globals that code reads, that of functions inside it too."""
    own = {str(each.argval) for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return own.union(*(_reads(each) for each in code.co_consts if isinstance(each, CodeType)))


def _written(kind: type) -> Iterator[str]:
    """The attributes that methods write after an object was made."""
    for base in kind.__mro__:
        for name, method in vars(base).items():
            function = getattr(method, "__wrapped__", method)
            if isinstance(function, FunctionType) and name not in _MADE_IN:
                yield from _stores(function.__code__)


def _stores(code: CodeType) -> Iterator[str]:
    yield from (str(each.argval) for each in dis.get_instructions(code) if each.opname == "STORE_ATTR")
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _stores(each)


def _attributes(part: Any) -> dict[str, Any]:
    """What an object holds, whether in a dictionary or in slots."""
    slots = [name for base in type(part).__mro__ for name in _slots(base) if hasattr(part, name)]
    return {name: getattr(part, name) for name in slots} | dict(getattr(part, "__dict__", {}))


def _slots(base: type) -> list[str]:
    named = vars(base).get("__slots__", ())
    return [
        name for name in ([named] if isinstance(named, str) else named) if name not in ("__dict__", "__weakref__")
    ]


def _defaults(kind: type) -> dict[str, Any]:
    try:
        parameters = signature(kind).parameters
    except (TypeError, ValueError):
        return {}
    return {name: each.default for name, each in parameters.items() if each.default is not Parameter.empty}


def _array(values: Any) -> list[Any]:
    array = np.ascontiguousarray(as_array("values", values))
    if array.dtype.kind == "O":
        return [str(array.dtype), plain(array.tolist())]
    content = hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
    return [str(array.dtype), list(array.shape), content]


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "numpy"))


def _sha256(told: Any) -> str:
    return hashlib.sha256(repr(told).encode()).hexdigest()
