"""Lists and dictionaries that a file holds as text: as JSON, as Python writes them, or as numpy prints them.

A spreadsheet has no lists, so programs write them as text into its cells. ``[{'a': 1}]`` is Python's form;
``[{'a': 1} {'b': 2}]``, without commas, is how numpy prints an array, and with it pandas a Parquet file.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Mapping, Sequence
from typing import Any

from bayesrm.errors import InvalidInputError

_NAMES = {"nan": "None", "NaN": "None", "inf": "None", "null": "None", "true": "True", "false": "False"}
_VALUES = {tokenize.STRING, tokenize.NUMBER, tokenize.NAME}
_QUOTES_SIDE_BY_SIDE = re.compile(r"""['"]\s+['"]""")
_MESSAGE_KEY = re.compile(r"""\s*[\[{].{0,2000}?["'](role|from|content|value)["']\s*:""", re.DOTALL)


def parse_container(text: str) -> list[Any] | dict[Any, Any] | None:
    """The list or dictionary that a text was; None where it was none, or is damaged."""
    text = text.strip()
    if not text.startswith(("[", "{", "array(")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _python(text)
    return found if isinstance(found, (list, dict)) else None


def as_list(value: Any, name: str) -> list[Any]:
    """A list, also one that became text.

    Raises
    ------
    InvalidInputError
        Where it is none.
    """
    found = parse_container(value) if isinstance(value, str) else value
    if not isinstance(found, Sequence) or isinstance(found, (str, bytes)):
        raise InvalidInputError(f"expected a list in {name}, got {_short(value)}")
    return list(found)


def as_dictionary(value: Any, name: str) -> dict[Any, Any]:
    """A dictionary, also one that became text.

    Raises
    ------
    InvalidInputError
        Where it is none.
    """
    found = parse_container(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise InvalidInputError(f"expected an object in {name}, got {_short(value)}")
    return dict(found)


def looks_like_messages(text: str) -> bool:
    """Whether a text seems to be a list of chat messages that was written as text, perhaps a damaged one."""
    return _MESSAGE_KEY.match(text) is not None


def are_messages(value: Any) -> bool:
    """Whether a value is a chat message or a list of them, with a role each."""
    if isinstance(value, Mapping):
        value = [value]
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(message, Mapping) and ("role" in message or "from" in message) for message in value)
    )


def _python(text: str) -> Any:
    """The value of Python's or numpy's form; None where there is none."""
    if text.startswith("array(") or _QUOTES_SIDE_BY_SIDE.search(text):
        return _numpy(text)
    found = _literal(text)
    return _numpy(text) if found is None else found


def _literal(text: str) -> Any:
    try:
        return _plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """Tuples as lists; ValueError for what JSON has not, such as the dots by which numpy leaves out the middle."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise ValueError(f"a value of type {type(value).__name__}")


def _numpy(text: str) -> Any:
    """With commas where numpy leaves them out, and without ``array(…, dtype=object)``.

    Two strings side by side are two values in numpy's form; Python's parser would join them.
    """
    try:
        tokens = [
            token
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type in _VALUES or token.type in (tokenize.OP, tokenize.ERRORTOKEN, tokenize.COMMENT)
        ]
    except (tokenize.TokenError, SyntaxError, RecursionError):
        return None
    out: list[str] = []
    arrays: list[bool] = []  # of each open round bracket, whether it is that of array(
    ends_value = False
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1].string if at + 1 < len(tokens) else ""
        if token.string == "array" and following == "(":
            out += [","] if ends_value else []
            arrays.append(True)
            ends_value, at = False, at + 2
            continue
        if token.string == "," and following == "dtype" and arrays and arrays[-1]:
            while at < len(tokens) and tokens[at].string != ")":
                at += 1
            continue
        if token.string == ")" and arrays and arrays.pop():
            ends_value, at = True, at + 1
            continue
        if token.string == "(":
            arrays.append(False)
        starts_value = token.type in _VALUES or token.string in ("[", "{", "(")
        if ends_value and starts_value:
            out.append(",")
        out.append(_NAMES.get(token.string, token.string) if token.type == tokenize.NAME else token.string)
        ends_value = token.type in _VALUES or token.string in ("]", "}", ")")
        at += 1
    return _literal(" ".join(out))


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
