"""Damage to files, at random: what cables, editors, spreadsheets and full disks do to bytes, and programs to values."""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

JUNK: list[Any] = [
    None,
    "",
    " ",
    "nan",
    math.nan,
    math.inf,
    0,
    -1,
    10**400,
    1.5,
    True,
    [],
    {},
    [None],
    [[]],
    [{}],
    ["a", 1],
    "[",
    "{'a'",
    "[1, 2]",
    "{'a': 1}",
    "\ud800",
    "x" * 300,
    "[[/bold]]",
    "[red]",
    "\x1b[31m",
    "[" * 3000,
    "\u202e",
    "1_0",
    ["\ud800"],
    {"value": "left"},
    {"value": {"value": 1}},
    [{"selected": "up"}],
    "left",
    "right",
    "2026-13-45",
    1e300,
    "\0",
    "'",
    '"',
]
"""Values that a field may have and should not."""
PIECES = [
    b"",
    b'"',
    b"'",
    b",",
    b";",
    b"\n",
    b"\r\n",
    b"\t",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"{",
    b"[",
    b"]",
    b"}",
    b"null",
    b"\xed\xa0\x80",
    b"=1+1",
    b"[/bold]",
    b"\x1b[2J",
    b"[" * 2000,
    b"x" * 300,
    b"question,answer\n",
    b"sep=;\n",
    b"1",
    b"NaN",
]
"""Bytes that may come between others."""
WHOLE = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b"0",
    b'""',
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"\x89PNG\r\n\x1a\n",
    b"PK\x03\x04rest",
    b"PAR1PAR1",
    b"\x1f\x8b\x08\x00",
    b"\xff\xfe",
    b"\xff\xfe\x00\xd8",
    b'["\\ud800"]',
    b'{"question": "\\ud800"}',
    b"question,answer",
    b"[[1,2],[3]]",
    b"[null]",
    b'[{"fields": []}]',
    b'[{"data": [], "annotations": [[]]}]',
    b"\0" * 99,
]
"""Files of which nothing can be used."""


def damaged(data: bytes, random: Random) -> bytes:
    """The bytes of a file after one to three accidents."""
    for _ in range(random.randint(1, 3)):
        at, to = sorted(random.randint(0, len(data)) for _ in range(2))
        kind = random.randrange(7)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + data[to:]
        elif kind == 2:
            data = data[:at] + data[at:to] + data[at:to] + data[to:]
        elif kind == 3:
            data = data[:at] + random.choice(PIECES) + data[at:]
        elif kind == 4:
            data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        elif kind == 5:
            data = data[:at] + data[to:] + data[at:to]
        else:
            data = random.choice(WHOLE)
    return data


def changed(value: Any, random: Random) -> Any:
    """A value in which something, at any depth, is another thing."""
    if not isinstance(value, (dict, list)) or not value or random.random() < 0.1:
        return random.choice(JUNK)
    copy = value.copy()
    key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
    if isinstance(value, dict) and random.random() < 0.1:
        del copy[key]
    else:
        copy[key] = changed(value[key], random)
    return copy


def as_json(value: Any) -> bytes:
    """A value as a file; numbers that are none as Python writes them."""
    return json.dumps(value).encode()
