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
    example = (
        {
            "question": {"dataset": "eli5", "id": "x1", "full_text": "Why is snow white?"},
            "quotes_0": {"title": ["t"], "extract": ["e"]},
            "answer_0": "It scatters light [1].",
            "tokens_0": {"prefix": [1], "completion": [2]},
            "score_0": 0.75,
            "quotes_1": {"title": ["t"], "extract": ["e"]},
            "answer_1": "It is cold [1].",
            "tokens_1": {"prefix": [1], "completion": [2]},
            "score_1": -0.75,
        },
    )

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
