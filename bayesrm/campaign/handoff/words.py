"""What an answer may be called, as people and tools write it.

Case, blanks, the kind of apostrophe and a full stop at the end make no difference. A tie is that neither is preferred,
also because both are bad; a skip is that somebody could not say. A number names no side: 1 is the left response to some
and the better one to others, and 0 the right one or a tie, so that somebody has to say it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

SIDES = {
    "left": ("left", "l", "a", "first", "left is better", "left one", "first one", "response a", "answer a"),
    "right": ("right", "r", "b", "second", "right is better", "right one", "second one", "response b", "answer b"),
    "tie": (
        "tie", "t", "=", "both", "equal", "equally good", "equally bad", "same", "the same", "neither", "draw",
        "neither is better", "both good", "both are good", "both bad", "both are bad", "bothbad", "tie (bothbad)",
        "no preference", "no difference",
    ),
    "skip": (
        "skip", "skipped", "s", "?", "unsure", "not sure", "i'm not sure", "uncertain", "discarded", "cannot say",
        "can't say", "cant say", "can not say", "i can't say", "cannot tell", "can't tell", "cannot decide",
        "can't decide", "don't know", "dont know", "do not know", "i don't know",
    ),
}  # fmt: skip
"""Side → the words for it."""
_SIDE_OF = {word: side for side, words in SIDES.items() for word in words}
_APOSTROPHES = dict.fromkeys(map(ord, "’‘‛ʼʻ′´`＇"), "'")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def side_of(words: Any) -> str | None:
    """The side that an answer names; None for an open question, a ValueError that says why for anything else."""
    said = plain(words)
    if said == "":
        return None
    if said not in _SIDE_OF:
        raise ValueError(f"expected left, right, tie or skip as an answer, got {str(words).strip()[:40]!r}")
    return _SIDE_OF[said]


def is_left_open(words: Any) -> bool:
    """Whether an answer is no number, as pandas has it for an empty cell; "none" and "n/a" may be meant as answers."""
    if isinstance(words, float):
        return not math.isfinite(words)
    return isinstance(words, str) and words.strip() in ("nan", "NaN", "<NA>", "null", "NaT")


def plain(words: Any) -> str:
    """An answer as it is compared: in small letters, with one blank between words, 1 for 1.0."""
    if words is None:
        return ""
    text = unicodedata.normalize("NFKC", str(words).translate(_APOSTROPHES)).casefold()
    text = " ".join(text.replace("_", " ").split()).rstrip(".!").strip("\"'").strip()
    return text.removesuffix(".0") if is_number(text) else text


def is_number(words: str) -> bool:
    """Whether an answer is a number, which does not say which side it means."""
    return _NUMBER.fullmatch(words) is not None or words in ("true", "false")
