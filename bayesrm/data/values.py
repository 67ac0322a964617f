"""Single values as files have them: what is missing, numbers, ids and names.

A value is missing where it is null, not a finite number, empty, or one of the words that programs write for it
("nan", "N/A", "null"). Texts are never judged by these words: an answer may well be "N/A".
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from bayesrm.errors import InvalidInputError

MISSING_WORDS = frozenset(
    {
        "",
        "nan",
        "-nan",
        "n/a",
        "#n/a",
        "<na>",
        "null",
        "none",
        "nat",
        "inf",
        "+inf",
        "-inf",
        "infinity",
        "-infinity",
    }
)
_NAMES = frozenset({"Nan", "Nat", "Null", "Inf"})
"""What people are called; programs write these words for a missing value with other letters in capitals."""
_WHOLE = re.compile(r"[+-]?\d+\.0+")


def is_missing(value: Any) -> bool:
    """Whether a rating, a margin, a score, an id or a name is missing."""
    if value is None:
        return True
    if isinstance(value, (float, Decimal)):
        return not math.isfinite(value)
    return isinstance(value, str) and value.strip().lower() in MISSING_WORDS


def has_no_text(value: Any) -> bool:
    """Whether a text or a list of messages is missing; no word stands for a missing text."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return True
    return not value.strip() if isinstance(value, str) else isinstance(value, (list, tuple, dict)) and not value


def number(value: Any, name: str) -> float:
    """A finite number, also where a spreadsheet made it text.

    Raises
    ------
    InvalidInputError
        Where it is missing or is none.
    """
    found = None if is_missing(value) else _number(value)
    if found is None:
        raise InvalidInputError(f"expected a number in {name}, got {value!r:.60}")
    return found


def optional_number(value: Any, name: str, notes: list[str]) -> float | None:
    """A finite number, or None where it is missing; None with a note where it is something else."""
    if is_missing(value):
        return None
    found = _number(value)
    if found is None:
        notes.append(f"{name} is no number and was taken as missing")
    return found


def whole_number(value: Any, name: str, allowed: tuple[int, ...]) -> int:
    """One of some whole numbers, also as 1.0 or as text.

    Raises
    ------
    InvalidInputError
        Where it is none of them.
    """
    found = None if is_missing(value) else _number(value)
    if found not in allowed:
        raise InvalidInputError(f"expected {' or '.join(map(str, allowed))} in {name}, got {value!r:.60}")
    return int(found)


def is_true(value: Any, name: str) -> bool:
    """A flag: true or false, 1 or 0, also as text.

    Raises
    ------
    InvalidInputError
        Where it is none.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return bool(whole_number(value, name, (0, 1)))


def optional_id(value: Any) -> int | str | None:
    """An id, or None where it is missing: 1.0 and "1.0" are 1, which spreadsheets and pandas make of it.

    Raises
    ------
    InvalidInputError
        Where it is neither a number nor a text.
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        text = _writable(value.strip())
        return text[: text.index(".")] if _WHOLE.fullmatch(text) else text
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise InvalidInputError(f"expected an integer or a text as an id, got {value!r:.60}")
    return int(value) if value == int(value) else str(value)


def optional_name(value: Any) -> str | None:
    """The name of a model, a source or a person; None where it is missing."""
    found = None if isinstance(value, (list, dict, tuple)) else value
    return None if is_missing(found) else _writable(str(found).strip())


def optional_person(value: Any) -> str | None:
    """Who said something, by a name or an id: 7.0 is 7, and Nan is a first name; None where it is missing.

    Raises
    ------
    InvalidInputError
        Where it is neither a name nor a number.
    """
    if isinstance(value, str) and value.strip() in _NAMES:
        return value.strip()
    found = optional_id(value)
    return None if found is None else str(found)


def _writable(text: str) -> str:
    """With an escape for half characters, which no file takes; different texts stay different."""
    return text.encode(errors="backslashreplace").decode()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
