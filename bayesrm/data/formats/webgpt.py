"""WebGPT comparisons: two answers to a question, with scores of which the higher is preferred.

https://huggingface.co/datasets/openai/webgpt_comparisons
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayesrm.data.conversation import as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Row, by_score
from bayesrm.data.values import number, optional_name

SIDES = ("answer_0", "answer_1")
SCORES = ("score_0", "score_1")


class WebGPT(Format):
    """WebGPT comparisons: answer_0 and answer_1 with their scores; equal scores are a tie."""

    name = "webgpt"
    columns = "question (an object with full_text, or a text), answer_0, answer_1, score_0, score_1"
    requires = frozenset({"question", *SIDES, *SCORES})
    dialogues = frozenset()
    containers = frozenset({"question"})

    def read(self, row: Row) -> Item:
        """Two answers; the margin is the difference of their scores."""
        question: Any = row.get("question")
        source = None
        if isinstance(question, Mapping):
            question, source = question.get("full_text"), optional_name(question.get("dataset"))
        first, second = (number(row.get(name), name) for name in SCORES)
        answers = tuple(Answer(require_text(row.get(side), side)) for side in SIDES)
        label = by_score(0, 1, first, second)
        return Item(as_conversation(require_text(question, "question")), answers, (label,), source=source)
