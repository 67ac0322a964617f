"""Arguments of public functions, held against their annotations: what does not fit is refused in a sentence.

    @checked
    def select(posterior: RewardPosterior, candidates: CandidateSet, size: Count = 125) -> Selection: ...

    select(posterior, pool)
    InvalidInputError: expected candidates to be a CandidateSet, got ResponsePool(…): form them with brm.candidates(…)

What an annotation says is what is checked; a range is part of it, as in :data:`Count`. Annotations are read at the
first call, and a call then costs a few microseconds: this is for what users call, not for what is called for each pair.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import operator
import os
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Integral, Real
from typing import (
    Annotated,
    Any,
    Literal,
    SupportsIndex,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from bayesrm.errors import BayesRMError, InvalidInputError
from bayesrm.utils.wording import told

Checked = TypeVar("Checked", bound=Callable[..., Any])

WHERE_FROM = {
    "Annotator": "such as brm.GoldenAnnotator(golden)",
    "CandidateSet": "form them with brm.candidates(pool)",
    "Pairs": "such as brm.Comparisons(first, second)",
    "Preferences": "such as brm.Preferences(first, second, outcome), or load them with brm.load_preferences(path)",
    "ResponsePool": "load one with brm.load_pool(path)",
    "RewardModel": "make one with brm.RewardModel(pool)",
    "RewardPosterior": "fit one with brm.fit(model, pool, preferences)",
    "SupportsLabel": "such as brm.GoldenAnnotator(golden)",
    "Votes": "load them with brm.load_votes(path)",
}
"""How somebody comes to an object of a public class."""


@dataclass(frozen=True)
class Kind:
    """What a value has to be.

    Parameters
    ----------
    words
        After "expected it to be": "a whole number".
    holds
        Whether a value is that; it never raises anything.
    where_from
        How to come to one, where that helps.
    """

    words: str
    holds: Callable[[Any], bool]
    where_from: str = ""


@dataclass(frozen=True)
class Only:
    """In ``Annotated``: which values of a type, in words that follow those of the type."""

    words: str
    holds: Callable[[Any], bool]


MOST = 2**31 - 1
"""Of whatever is counted: more is a mistake in typing."""
Count = Annotated[int, Only(f" from 1 to {MOST:,}", lambda value: 1 <= value <= MOST)]
Natural = Annotated[int, Only(f" from 0 to {MOST:,}", lambda value: 0 <= value <= MOST)]
Positive = Annotated[float, Only(" above 0 and below 1e18", lambda value: 0 < value < 1e18)]
Unicode = Annotated[str, Only(" of whole characters, which files can hold", lambda value: _is_encodable(value))]
Seed = Annotated[int, Only(" of at least 0", lambda value: value >= 0)]


def checked(function: Checked) -> Checked:
    """Refuse arguments that are not what the annotations of a function say; of a class, those that make one.

    Parameters
    ----------
    function
        Below ``classmethod`` and the like; or a dataclass.

    Returns
    -------
    callable
        With the same name, signature and docstring; a class is the same class.
    """
    if inspect.isclass(function):
        made: Any = function
        made.__init__ = _checking(made.__init__, made)
        return function
    return cast("Checked", _checking(function, function))


def require(name: str, value: Any, kind: Kind) -> None:
    """InvalidInputError where a value is not of a kind."""
    if not kind.holds(value):
        end = f": {kind.where_from}" if kind.where_from else ""
        raise InvalidInputError(f"expected {name} to be {kind.words}, got {told(value)}{end}")


def _checking(function: Callable[..., Any], annotated: Any) -> Callable[..., Any]:
    parameters = inspect.signature(function).parameters.values()
    by_position = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    kinds: dict[str, Kind] = {}

    @functools.wraps(function)
    def checking(*arguments: Any, **named: Any) -> Any:
        if not kinds:
            kinds.update(_kinds(function, annotated))
        for name, value in zip(by_position, arguments, strict=False):  # further ones have no name
            if name in kinds:
                require(name, value, kinds[name])
        for name, value in named.items():
            if name in kinds:
                require(name, value, kinds[name])
        return function(*arguments, **named)

    return checking


def _kinds(function: Callable[..., Any], annotated: Any) -> dict[str, Kind]:
    """Of each parameter that has an annotation; a default is always allowed."""
    # The annotations of a dataclass stand where its fields do, which may be in several modules.
    of = annotated if dataclasses.is_dataclass(annotated) else function
    hints = get_type_hints(of, include_extras=True)
    kinds: dict[str, Kind] = {"": ANYTHING}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in hints and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            kinds[parameter.name] = kind_of(hints[parameter.name])
    return kinds


# --- from annotations to kinds ---------------------------------------------------------------------------------


def kind_of(hint: Any) -> Kind:
    """What an annotation asks for; anything at all where it says nothing that can be seen of a value."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin is Annotated:
        return _narrowed(kind_of(inner[0]), [only for only in inner[1:] if isinstance(only, Only)])
    if origin in (Union, types.UnionType):
        return _any_of(inner)
    if origin is Literal:
        return Kind(
            " or ".join(map(repr, inner)), lambda value: any(value is each or value == each for each in inner)
        )
    if origin is tuple:
        return _tuple(inner)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return _mapping(*map(kind_of, inner))
    if inspect.isclass(origin) and issubclass(origin, Collection):
        return _sequence(kind_of(inner[0]), in_order=issubclass(origin, Sequence))
    if origin is Callable or hint is Callable:
        return Kind("something to call", callable)
    if _is_array(hint):
        return ARRAY  # of which shape and type is checked where it is made one, in words of their own
    return _instance(hint) if inspect.isclass(hint) else ANYTHING


def _is_number(value: Any) -> bool:
    try:
        return _is_of(Real, value) and math.isfinite(value)
    except OverflowError:  # a whole number above all floats
        return False


def _is_whole(value: Any) -> bool:
    return _is_of(Integral, value)


def _is_of(numbers: type, value: object) -> bool:
    """Whether a value is such a number; that Python counts True as 1 is no reason to."""
    return isinstance(value, numbers) and not isinstance(value, bool)


def _is_index(value: Any) -> bool:
    """Also an array or a tensor that holds one whole number and has no dimension."""
    try:
        return not isinstance(value, bool | np.bool_) and isinstance(operator.index(value), int)
    except Exception:
        return False


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_path(value: Any) -> bool:
    if not isinstance(value, str | os.PathLike):
        return False
    try:
        os.lstat(value)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return True
    except (OSError, ValueError):
        return False  # too long, half a character, or a zero in it
    return True


def _is_array(hint: Any) -> bool:
    return (
        getattr(hint, "__module__", "").split(".")[0] in ("jaxtyping", "numpy") and hint is not np.random.Generator
    )


def _becomes_array(value: Any) -> bool:
    if hasattr(value, "detach"):
        return getattr(value, "device", None) is not None and value.device.type != "meta"
    try:
        array = np.asarray(value)
    except Exception:
        return False
    return array.dtype.kind != "O" or array.ndim > 0


ANYTHING = Kind("anything", lambda _: True)
ARRAY = Kind("an array", _becomes_array)
_WHOLE = Kind("a whole number", _is_whole)
_PATH = Kind("a path that the system takes", _is_path)
_PLAIN: dict[Any, Kind] = {
    Any: ANYTHING,
    object: ANYTHING,
    type(None): Kind("None", lambda value: value is None),
    bool: Kind("True or False", lambda value: isinstance(value, bool | np.bool_)),
    int: _WHOLE,
    SupportsIndex: Kind("a whole number", _is_index),
    float: Kind("a finite number", _is_number),
    str: Kind("a text", lambda value: isinstance(value, str)),
}


def _narrowed(kind: Kind, rules: Iterable[Only]) -> Kind:
    for rule in rules:
        kind = Kind(kind.words + rule.words, functools.partial(_both, kind.holds, rule.holds), kind.where_from)
    return kind


def _both(first: Callable[[Any], bool], second: Callable[[Any], bool], value: Any) -> bool:
    return first(value) and bool(second(value))


def _any_of(hints: Sequence[Any]) -> Kind:
    """A union; of the many things that become an array, the array alone is named."""
    paths = any(hint is os.PathLike or get_origin(hint) is os.PathLike for hint in hints)
    arrays = any(str(getattr(hint, "__module__", "")).startswith("numpy._typing") for hint in hints)
    kinds = []
    for hint in hints:
        if paths and (hint is str or get_origin(hint) is os.PathLike):
            kinds.append(_PATH)
        elif not (arrays and (hint in (complex, bytes, str) or _is_array(hint) or _is_array(get_origin(hint)))):
            kinds.append(kind_of(hint))
    kinds += [ARRAY] if arrays else []
    kinds = list(dict.fromkeys(kinds))
    words = [kind.words for kind in kinds]
    return Kind(
        f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0],
        lambda value: any(kind.holds(value) for kind in kinds),
        next((kind.where_from for kind in kinds if kind.where_from), ""),
    )


def _tuple(inner: Sequence[Any]) -> Kind:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return _sequence(kind_of(inner[0]))
    kinds = [kind_of(each) for each in inner]

    def holds(value: Any) -> bool:
        return (
            isinstance(value, tuple | list)
            and len(value) == len(kinds)
            and all(kind.holds(each) for kind, each in zip(kinds, value, strict=True))
        )

    return Kind(f"{len(kinds)} things, {' and '.join(kind.words for kind in kinds)}", holds)


def _sequence(item: Kind, in_order: bool = True) -> Kind:
    def holds(value: Any) -> bool:
        if isinstance(value, str | bytes | Mapping) or getattr(value, "shape", (0,)) == ():
            return False
        if in_order and isinstance(value, Set):
            return False
        ordered = isinstance(value, Collection) or hasattr(value, "__array__")
        return ordered and (item is ANYTHING or all(map(item.holds, value)))

    return Kind("a sequence" if item is ANYTHING else f"a sequence, each {item.words}", holds)


def _mapping(key: Kind = ANYTHING, item: Kind = ANYTHING) -> Kind:
    def holds(value: Any) -> bool:
        return isinstance(value, Mapping) and all(
            key.holds(name) and item.holds(each) for name, each in value.items()
        )

    said = "" if item is ANYTHING else f" of {key.words} to {item.words}"
    return Kind(f"a mapping{said}", holds)


def _instance(of: type) -> Kind:
    where_from = WHERE_FROM.get(of.__name__, "")
    if getattr(of, "_is_protocol", False):
        return _protocol(of, where_from)
    article = "an" if of.__name__[0] in "AEIOU" else "a"
    return Kind(f"{article} {of.__name__}", lambda value: isinstance(value, of), where_from)


def _protocol(of: type, where_from: str) -> Kind:
    """An object that has what a protocol lists, each property an array such as is annotated."""
    arrays = {
        name: get_type_hints(member.fget)["return"]
        for name, member in vars(of).items()
        if isinstance(member, property)
    }

    def holds(value: Any) -> bool:
        # A class has the methods of its objects, and is none of them.
        if isinstance(value, type):
            return False
        try:
            return isinstance(value, of) and all(
                _like(getattr(value, name), array) for name, array in arrays.items()
            )
        except BayesRMError:
            raise  # such as of candidates that are too many to list
        except Exception:
            return False

    return Kind(_PROTOCOLS.get(of.__name__, of.__name__), holds, where_from)


def _like(value: Any, array: Any) -> bool:
    """Whether an array has the type and the number of dimensions of jaxtyping's annotation."""
    return value.ndim == len(array.dim_str.split()) and str(value.dtype) in array.dtypes


_PROTOCOLS = {
    "Lists": "lists of responses",
    "Pairs": "pairs of responses",
    "SupportsLabel": "an annotator, with a method label",
}

__all__ = [
    "ANYTHING",
    "ARRAY",
    "MOST",
    "Count",
    "Kind",
    "Natural",
    "Only",
    "Positive",
    "Seed",
    "Unicode",
    "checked",
    "kind_of",
    "require",
    "told",
]
