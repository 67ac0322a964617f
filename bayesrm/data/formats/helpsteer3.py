"""HelpSteer3: two responses to a dialogue, with a preference from −3 (the first is much better) to 3 (the second).

https://huggingface.co/datasets/nvidia/HelpSteer3
"""

from __future__ import annotations

from bayesrm.data.conversation import as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, number, optional_text
from bayesrm.errors import InvalidInputError


class HelpSteer3(Format):
    """HelpSteer3: response1 and response2 with an overall preference from -3 to 3."""

    name = "helpsteer3"
    columns = "context, response1, response2, overall_preference; optional domain, language, individual_preference"
    needs = frozenset({"context", "response1", "response2", "overall_preference"})

    def read(self, row: Row) -> Item:
        """Two answers; the sign of the preference is the outcome, its size the margin."""
        overall = number(row.get("overall_preference"), "overall_preference")
        if not -3 <= overall <= 3:
            raise InvalidInputError(f"expected an overall_preference from -3 to 3, got {overall:g}")
        outcome = 0.5 if overall == 0 else float(overall < 0)
        answers = tuple(Answer(require_text(row.get(name), name)) for name in ("response1", "response2"))
        return Item(
            as_conversation(row.get("context"), "context"),
            answers,
            (Label(0, 1, outcome, margin=abs(overall)),),
            source=optional_text(row.get("domain")),
        )
