"""RewardBench 2: a prompt with one or several correct answers and some incorrect ones.

https://huggingface.co/datasets/allenai/reward-bench-2
"""

from __future__ import annotations

from typing import Any

from bayesrm.data.conversation import as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, optional_text
from bayesrm.errors import InvalidInputError


class RewardBench2(Format):
    """RewardBench 2: every correct answer is preferred to every incorrect one."""

    name = "rewardbench2"
    columns = "id, prompt, chosen (a list), rejected (a list), num_correct, num_incorrect"
    needs = frozenset({"prompt", "chosen", "rejected", "num_correct"})

    def read(self, row: Row) -> Item:
        """The correct answers, then the incorrect. Which of ``models`` wrote which is not documented."""
        chosen, rejected = _texts(row.get("chosen"), "chosen"), _texts(row.get("rejected"), "rejected")
        labels = tuple(Label(i, len(chosen) + j) for i in range(len(chosen)) for j in range(len(rejected)))
        return Item(
            as_conversation(row.get("prompt")),
            tuple(Answer(text) for text in (*chosen, *rejected)),
            labels,
            source=optional_text(row.get("subset")),
        )


def _texts(value: Any, name: str) -> list[str]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidInputError(f"expected a list of answers in {name}, and there is none")
    return [require_text(text, name) for text in value]
