"""Stanford Human Preferences: two comments on a post, of which readers liked one better.

https://huggingface.co/datasets/stanfordnlp/SHP: ``labels`` is 1 where A is preferred, ``score_ratio`` says by how much.
"""

from __future__ import annotations

from bayesrm.data.conversation import require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, prompt_of
from bayesrm.data.values import optional_name, optional_number, whole_number

SIDES = ("human_ref_A", "human_ref_B")


class SHP(Format):
    """Stanford Human Preferences: human_ref_A and human_ref_B, labels 1 where A is preferred."""

    name = "shp"
    columns = "history, human_ref_A, human_ref_B, labels; optional score_ratio, domain"
    requires = frozenset({"history", *SIDES, "labels"})
    optional = frozenset({"score_ratio", "domain"})
    dialogues = frozenset()
    example = (
        {
            "post_id": "p1",
            "domain": "askculinary_train",
            "upvote_ratio": 0.98,
            "history": "How long do eggs keep?",
            "c_root_id_A": "a",
            "c_root_id_B": "b",
            "created_at_utc_A": 1,
            "created_at_utc_B": 2,
            "score_A": 10,
            "score_B": 40,
            "human_ref_A": "A week.",
            "human_ref_B": "A month, cold.",
            "labels": 0,
            "seconds_difference": 9.0,
            "score_ratio": 4.0,
        },
    )

    def read(self, row: Row) -> Item:
        """Two answers; the margin is the ratio of their scores."""
        notes: list[str] = []
        outcome = whole_number(row.get("labels"), "labels", (0, 1))
        margin = optional_number(row.get("score_ratio"), "score_ratio", notes)
        return Item(
            prompt_of(row, "history"),
            tuple(Answer(require_text(row.get(side), side)) for side in SIDES),
            (Label(0, 1, float(outcome), margin),),
            source=optional_name(row.get("domain")),
            notes=tuple(notes),
        )
