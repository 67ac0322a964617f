"""HelpSteer3: two responses to a dialogue, with a preference from −3 (the first is much better) to 3 (the second).

https://huggingface.co/datasets/nvidia/HelpSteer3
"""

from __future__ import annotations

from typing import ClassVar

from bayesrm.data.conversation import require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, prompt_of
from bayesrm.data.values import number, optional_name
from bayesrm.errors import InvalidInputError

POINTS = 7
"""From −3 to 3."""


class HelpSteer3(Format):
    """HelpSteer3: response1 and response2 with an overall preference from -3 to 3."""

    name = "helpsteer3"
    columns = "context, response1, response2, overall_preference; optional domain"
    sides: ClassVar[tuple[str, str]] = ("response1", "response2")
    asked: ClassVar[str] = "context"
    strength: ClassVar[str] = "overall_preference"
    requires = frozenset({asked, *sides, strength})
    optional = frozenset({"domain"})
    dialogues = frozenset({asked, *sides})
    example = (
        {
            "domain": "general",
            "language": "english",
            "context": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "What color is the sky?"},
            ],
            "response1": "Green.",
            "response2": "Blue.",
            "overall_preference": 2,
            "individual_preference": [{"score": 2, "reasoning": "r", "feedback1": "f", "feedback2": "g"}],
        },
    )

    def read(self, row: Row) -> Item:
        """Two answers; the sign of the preference is the outcome, its size the margin."""
        overall = number(row.get(self.strength), self.strength)
        if not -3 <= overall <= 3:
            raise InvalidInputError(f"expected {self.strength} from -3 to 3, got {overall:g}")
        outcome = 0.5 if overall == 0 else float(overall < 0)
        answers = tuple(Answer(require_text(row.get(name), name)) for name in self.sides)
        return Item(
            prompt_of(row, self.asked),
            answers,
            (Label(0, 1, outcome, margin=abs(overall), grades=POINTS),),
            source=optional_name(row.get("domain")),
        )
