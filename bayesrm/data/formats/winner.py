"""Two answers and a column that says which of them won, under custom names.

The columns of the answers are those that the user maps to chosen and rejected, the first and the second, or the one
pair of the usual names. What the values of the winner column mean is said by the user, or follows from their words:
model_a, response_b, left, tie. A number is never taken for one of two answers without being told.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bayesrm.data.formats.base import MEANINGS, Label, Row, Table
from bayesrm.data.formats.pairs import ChosenRejected
from bayesrm.data.values import is_missing
from bayesrm.errors import InvalidInputError

_STEMS = ("response", "answer", "output", "completion", "conversation")
_ENDS = (("_a", "_b"), ("_A", "_B"), ("_0", "_1"), ("_1", "_2"), ("0", "1"), ("1", "2"))
PAIRS = tuple((f"{stem}{one}", f"{stem}{other}") for stem, (one, other) in itertools.product(_STEMS, _ENDS))
PAIRS += (("left", "right"),)

_KNOWN = {"first": "first", "left": "first", "a": "first", "second": "second", "right": "second", "b": "second"}
_KNOWN |= {f"{stem}_{end}": _KNOWN[end] for stem in (*_STEMS, "model") for end in ("a", "b")}
_KNOWN |= dict.fromkeys(("tie", "tie (bothbad)", "both_bad", "bothbad", "both bad", "draw"), "tie")


class Winner(ChosenRejected):
    """Two answers and a column winner, whose values say which is better."""

    name = "winner"
    columns = "prompt, two answers (response_a and response_b, or chosen and rejected by hand), winner"
    requires = frozenset({"winner"})
    optional = frozenset(
        {"prompt", "source", "margin", "model_a", "model_b", "chosen", "rejected", *itertools.chain(*PAIRS)}
    )
    generators = (("model_a", "model_b"),)
    by_hand = frozenset({"chosen", "rejected", "winner"})
    priority = 1
    example = (
        {
            "prompt": "Name a sea.",
            "response_a": "Baltic.",
            "response_b": "Sahara.",
            "model_a": "m1",
            "model_b": "m2",
            "winner": "model_a",
        },
    )

    def __init__(self) -> None:
        super().__init__()
        self._meanings: dict[str, str] = dict(_KNOWN)

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """A column winner and one pair of answers."""
        return super().recognises(columns, sample) and len(_pairs(columns)) == 1

    def messages_in(self, sheet: bool) -> frozenset[str]:
        """The prompt and whatever columns the answers may be in."""
        return self.dialogues | {"chosen", "rejected", *itertools.chain(*PAIRS)}

    def begin(self, table: Table) -> tuple[str, ...]:
        """Settle which columns the answers are in, and what the winners mean."""
        pairs = _pairs(table.columns)
        if len(pairs) != 1:
            found = " or ".join(" and ".join(pair) for pair in pairs) or "none are named as answers usually are"
            raise InvalidInputError(
                f"expected two columns with the answers in {table.source}, and {found}: say which with "
                "--chosen-column (the first) and --rejected-column (the second)"
            )
        self.sides = pairs[0]
        for side, meaning in zip(self.sides, MEANINGS[:2], strict=True):
            self._meanings[_word(side)] = meaning
        if table.told.winners is not None:
            self._meanings = {_word(value): meaning for value, meaning in table.told.winners.items()}
        values = {_word(row.get("winner")) for row in table.sample if not is_missing(row.get("winner"))}
        unknown = sorted(values - set(self._meanings))
        if values and len(unknown) == len(values):
            example = ",".join(f"{value}={meaning}" for value, meaning in zip(unknown, MEANINGS, strict=False))
            raise InvalidInputError(
                f"expected to know which answer of {table.source} won, and the winners are {', '.join(unknown[:8])}: "
                f"say what each means, such as --winner-values {example}"
            )
        return super().begin(table)

    def label(self, row: Row, notes: list[str]) -> Label | None:
        """By the meaning of the winner."""
        value = row.get("winner")
        meaning = self._meanings.get(_word(value))
        if is_missing(value) or meaning is None:
            raise InvalidInputError(
                f"expected a winner, one of {', '.join(self._meanings)}, got {value!r:.40}"
                if is_missing(value)
                else f"what the winner {value!r:.40} means is not known: say it with --winner-values"
            )
        if meaning == "skip":
            return None
        return Label(0, 1, {"first": 1.0, "second": 0.0, "tie": 0.5}[meaning], self._margin(row, notes))


def _pairs(columns: frozenset[str]) -> list[tuple[str, str]]:
    if columns >= {"chosen", "rejected"}:
        return [("chosen", "rejected")]
    return [pair for pair in PAIRS if set(pair) <= columns]


def _word(value: object) -> str:
    """A value as a word to compare: 1, 1.0 and "1.0" are the same, and so are True and "true"."""
    text = str(value).strip().casefold()
    return text.removesuffix(".0") if text.removesuffix(".0").lstrip("-").isdigit() else text
