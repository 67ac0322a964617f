"""Chatbot Arena as its makers publish it: two whole conversations and the winner.

https://huggingface.co/datasets/lmsys/chatbot_arena_conversations (33k) and
https://huggingface.co/datasets/lmarena-ai/arena-human-preference-140k, whose messages have parts.
"""

from __future__ import annotations

from typing import ClassVar

from bayesrm.data.formats.base import Label, Row
from bayesrm.data.formats.pairs import ChosenRejected
from bayesrm.errors import InvalidInputError

OUTCOMES = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5, "both_bad": 0.5}
OUTCOMES |= {"tie (inconsistent)": 0.5}
"""Where both are bad, neither is preferred, which is a tie; so is it where a judge of MT-bench contradicted itself."""


class ArenaConversations(ChosenRejected):
    """Chatbot Arena, published: conversation_a, conversation_b and winner (model_a, model_b, tie, both bad)."""

    name = "arena-conversations"
    columns = "conversation_a, conversation_b, winner, model_a, model_b"
    sides = ("conversation_a", "conversation_b")
    generators = (("model_a", "model_b"),)
    requires = frozenset({*sides, *generators[0], "winner"})
    outcomes: ClassVar[dict[str, float]] = OUTCOMES
    example = (
        {
            "question_id": "q0",
            "model_a": "koala",
            "model_b": "vicuna",
            "winner": "model_a",
            "judge": "arena_user_1",
            "conversation_a": [
                {"role": "user", "content": "Do cats swim?"},
                {"role": "assistant", "content": "Some do."},
            ],
            "conversation_b": [
                {"role": "user", "content": "Do cats swim?"},
                {"role": "assistant", "content": "Never."},
            ],
            "turn": 1,
            "anony": True,
            "language": "English",
            "tstamp": 1682351591.1,
        },
    )

    def label(self, row: Row, notes: list[str]) -> Label:
        """Who won."""
        winner = str(row.get("winner")).strip().lower()
        if winner not in self.outcomes:
            raise InvalidInputError(
                f"expected {', '.join(self.outcomes)} as winner, got {row.get('winner')!r:.40}"
            )
        return Label(0, 1, self.outcomes[winner])
