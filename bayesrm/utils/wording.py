"""Numbers and values in sentences."""

from __future__ import annotations

import operator
import reprlib
from typing import Any, SupportsIndex

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def counted(number: SupportsIndex, noun: str, plural: str | None = None) -> str:
    """A number and what it counts: "1 question", "12,345 questions".

    Parameters
    ----------
    number
        How many.
    noun
        Of one of them.
    plural
        Of several; None adds an "s" to the noun.

    Examples
    --------
    >>> counted(1, "question"), counted(12345, "question"), counted(0, "reply", "replies")
    ('1 question', '12,345 questions', '0 replies')
    """
    return f"{operator.index(number):,} {one_or_many(number, noun, f'{noun}s' if plural is None else plural)}"


def one_or_many(number: SupportsIndex, one: str, many: str) -> str:
    """The word that agrees with a number, such as "is" or "are".

    Examples
    --------
    >>> one_or_many(1, "is", "are"), one_or_many(2, "is", "are")
    ('is', 'are')
    """
    return one if operator.index(number) == 1 else many


def told(value: Any) -> str:
    """A value as a sentence shows it: what it is, on one line, cut short.

    Examples
    --------
    >>> told("x"), told([1.0]), told(None)
    ("'x'", 'list [1.0]', 'None')
    """
    if value is None or value is NotImplemented or value is Ellipsis:
        return str(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "dtype") and len(shape):
        return f"{type(value).__name__} of {value.dtype} and shape {tuple(shape)}"
    try:
        text = " ".join(_SHORT.repr(value).split())
    except Exception:
        return type(value).__name__
    said = isinstance(value, str | bytes | int | float) or text.startswith(type(value).__name__)
    return text if said else f"{type(value).__name__} {text}"
