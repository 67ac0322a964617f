"""RewardBench 2: a prompt with one or several correct answers and some incorrect ones.

https://huggingface.co/datasets/allenai/reward-bench-2
"""

from __future__ import annotations

from typing import Any

from bayesrm.data.containers import parse_container
from bayesrm.data.formats.base import Format, Item, Label, Row, several_answers
from bayesrm.data.values import has_no_text, optional_name
from bayesrm.errors import InvalidInputError


class RewardBench2(Format):
    """RewardBench 2: every correct answer is preferred to every incorrect one."""

    name = "rewardbench2"
    columns = "id, prompt, chosen (a list), rejected (a list), num_correct, num_incorrect"
    requires = frozenset({"prompt", "chosen", "rejected", "num_correct"})
    optional = frozenset({"subset"})
    example = (
        {
            "id": "1",
            "prompt": "What color is the sky?",
            "chosen": ["Blue.", "It is blue."],
            "rejected": ["Green.", "Red.", "No."],
            "num_correct": 2,
            "num_incorrect": 3,
            "total_completions": 5,
            "models": ["m", "m", "m", "m", "m"],
            "subset": "Ties",
        },
    )

    def read(self, row: Row) -> Item:
        """The correct answers, then the incorrect. Which of ``models`` wrote which is not documented."""
        notes: list[str] = []
        chosen, rejected = (_list(row.get(side), side) for side in ("chosen", "rejected"))
        found = several_answers([*chosen, *rejected], "chosen and rejected", None, notes)
        correct = [at for at, place in enumerate(found) if place < len(chosen)]
        labels = tuple(Label(i, j) for i in correct for j in range(len(correct), len(found)))
        return Item(
            row["prompt"],
            tuple(found.values()),
            labels,
            source=optional_name(row.get("subset")),
            places=len(chosen) + len(rejected),
            notes=tuple(notes),
        )


def _list(value: Any, name: str) -> list[Any]:
    """A list, also one that became text; a plain text is a list of one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        found = parse_container(value)
        if found is None:
            raise InvalidInputError(
                f"expected a list of answers in {name}, and its text is damaged: {value!r:.60}"
            )
        value = found
    if isinstance(value, str) and value.strip():
        return [value]
    if not isinstance(value, (list, tuple)) or has_no_text(value):
        raise InvalidInputError(f"expected a list of answers in {name}, and there is none")
    return list(value)
