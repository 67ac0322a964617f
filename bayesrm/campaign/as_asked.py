"""Whether what a file shows of a question is what was asked.

A row whose cells were shifted, sorted apart from each other or swallowed by a quote that nobody closed has the id of
one question beside the texts of another. What spreadsheets do to a text by themselves is no difference: line ends and
blanks, an apostrophe before a formula, curly quotes, the form of accents, letters that an encoding has not, numbers
and dates in another form, the end of a very long cell.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from bayesrm.campaign.handoff.base import Broken, ParsedAnswer, Sheet, Unclear
from bayesrm.campaign.handoff.tables import QUESTION_ID

LONG_CELL = 32_000
"""Spreadsheets cut a cell at 32,767 characters."""
Asked = Callable[[str], Sheet | None]
"""The id of a question → what was asked; None where nobody asked it."""

_ODDITIES = str.maketrans("‘’‚‛´`“”„‟«»‐‑‒–—−", "'" * 6 + '"' * 6 + "-" * 6)
_LOST = re.compile(r"[?\ufffd]+")
_ERROR = re.compile(r"#(NAME|REF|VALUE|ERROR|DIV/0|NUM|N/A|NULL|FIELD|SPILL)[!?]?|Err:\d+")
_DATE = re.compile(r"[\d\s./:,-]*\d[\d\s./:,-]*")
_SHOWN = 40


def check(
    parts: Sequence[ParsedAnswer | Broken], asked: Asked, by_hand: bool
) -> tuple[list[ParsedAnswer | Broken], list[str]]:
    """Put aside the answers of a file beside which it shows something else than was asked.

    Parameters
    ----------
    parts
        What stands in the file.
    asked
        What was asked.
    by_hand
        Whether people fill in the file itself. A tool keeps the texts of a question together with its id, so that of
        texts which no question has only a note is made there: somebody changed them in the tool.

    Returns
    -------
    tuple
        The parts, in their order, and notes on the file as a whole.
    """
    elsewhere = _Elsewhere(parts, asked)
    checked: list[ParsedAnswer | Broken] = []
    other_texts = 0
    for part in parts:
        answer = part.answer if isinstance(part, Unclear) else part
        sheet = asked(answer.question) if isinstance(answer, ParsedAnswer) else None
        if not isinstance(answer, ParsedAnswer) or sheet is None:
            checked.append(part)
            continue
        reason = _swallowed(answer, sheet, asked) or disagreement(answer.shown, sheet)
        if reason is not None and not by_hand and not elsewhere.has(answer, sheet):
            other_texts += 1
            reason = None
        checked.append(part if reason is None else Broken(answer.place, reason, question=answer.question))
    notes = []
    if other_texts:
        notes.append(
            f"Beside {other_texts} {'answer' if other_texts == 1 else 'answers'} the file shows other texts than were "
            "asked, and of no other question: were they changed in the tool? The ids decided."
        )
    return checked, notes


def disagreement(shown: Mapping[str, Any], sheet: Sheet) -> str | None:
    """Why a row is not about a question, in words; None where it is, or shows nothing of it."""
    texts = sheet.texts
    cells = shown.get("cells")
    if cells and not any(same_text(cell, text) for cell in cells for text in texts.values()):
        return f"none of its cells has a text of {sheet.question.id}: {_HOW}"
    for name in texts:
        given = shown.get(name)
        if isinstance(given, str) and given.strip() and not same_text(given, texts[name]):
            return f"it shows {_short(given)} under {name} where {sheet.question.id} has {_short(texts[name])}: {_HOW}"
    return None


_HOW = "the cells of the row do not belong together, so put them right and tell the file again"


def same_text(shown: str, asked: str) -> bool:
    """Whether a cell can be what became of a text."""
    one, other = _folded(shown), _folded(asked)
    if one == other or (len(shown) >= LONG_CELL and other.startswith(one)):
        return True
    if _ERROR.fullmatch(shown.strip()) and asked.lstrip("'").startswith(("=", "+", "-", "@")):
        return True
    if any(_folded(read) == other for read in _read_otherwise(shown)):
        return True
    return _with_letters_lost(_bare(shown), _bare(asked), len(shown) >= LONG_CELL) or _same_number(shown, asked)


def _folded(text: str) -> str:
    """Without what spreadsheets change: blanks, the form of letters, an apostrophe before a formula."""
    text = unicodedata.normalize("NFKC", text.translate(_ODDITIES)).translate(_ODDITIES).casefold()
    return unicodedata.normalize("NFC", _bare(text))


def _bare(text: str) -> str:
    """In small letters without blanks and control characters, every other letter as it is."""
    text = unicodedata.normalize("NFC", text).lower()
    kept = (letter for letter in text if not letter.isspace() and unicodedata.category(letter) not in ("Cc", "Cf"))
    return "".join(kept).lstrip("'")


def _read_otherwise(text: str) -> list[str]:
    """UTF-8 that was read as something else, as what it was."""
    found = []
    for encoding in ("cp1252", "latin-1", "mac_roman"):
        try:
            found.append(text.encode(encoding).decode("utf-8"))
        except UnicodeError:
            continue
    return found


def _with_letters_lost(shown: str, asked: str, cut: bool) -> bool:
    """Whether question marks stand for letters beyond ASCII, which the encoding of the file has not."""
    if asked.isascii() or not _LOST.search(shown):
        return False
    at = 0
    parts = _LOST.split(shown)
    for number, part in enumerate(parts):
        if number:
            start = at
            while at < len(asked) and (not asked[at].isascii() or asked[at] == "?"):
                at += 1
            if at == start:
                return False
        if not asked.startswith(part, at):
            return cut and number == len(parts) - 1 and part.startswith(asked[at:])
        at += len(part)
    return cut or at == len(asked)


def _same_number(shown: str, asked: str) -> bool:
    """Whether two short texts are one number in two forms, or may be one date."""
    if len(asked) > 30 or len(shown) > 30:
        return False
    try:
        one, other = (float(text.strip().replace(",", ".")) for text in (shown, asked))
    except ValueError:
        digits = set(re.findall(r"\d+", asked.replace("0", ""))) & set(re.findall(r"\d+", shown.replace("0", "")))
        return _DATE.fullmatch(asked) is not None and bool(digits)
    return one == other or abs(one - other) <= 1e-4 * abs(other)


def _swallowed(answer: ParsedAnswer, sheet: Sheet, asked: Asked) -> str | None:
    """Ids of other questions within the cells of a row, in words."""
    cells = [text for value in answer.shown.values() for text in (value if isinstance(value, tuple) else (value,))]
    text = "\n".join([*cells, answer.words, answer.comment or "", answer.annotator])
    own = "\n".join(sheet.texts.values())
    found = dict.fromkeys(name for name in QUESTION_ID.findall(text) if name not in own)
    others = [name for name in found if name != answer.question and asked(name) is not None]
    if not others:
        return None
    listed = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return (
        f"it has swallowed the rows of {listed}: a quote in it is not closed, so close it and tell the file again"
    )


class _Elsewhere:
    """The responses that all questions of a file show."""

    def __init__(self, parts: Sequence[ParsedAnswer | Broken], asked: Asked) -> None:
        self._parts, self._asked = parts, asked

    @cached_property
    def _responses(self) -> frozenset[str]:
        answers = [part.answer if isinstance(part, Unclear) else part for part in self._parts]
        names = {answer.question for answer in answers if isinstance(answer, ParsedAnswer)}
        sheets = [sheet for name in names if (sheet := self._asked(name)) is not None]
        return frozenset(_folded(text) for sheet in sheets for text in _responses(sheet).values())

    def has(self, answer: ParsedAnswer, sheet: Sheet) -> bool:
        """Whether a response that is shown beside an answer is one of another question, or of the other side."""
        for name, text in _responses(sheet).items():
            given = answer.shown.get(name)
            differs = isinstance(given, str) and not same_text(given, text)
            if differs and _folded(str(given)) in self._responses:
                return True
        return False


def _responses(sheet: Sheet) -> dict[str, str]:
    return {name: text for name, text in sheet.texts.items() if name != "prompt"}


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…")
