"""Pairs that distilabel had a judge rate again: ``status`` says tie where both got the same rating.

https://huggingface.co/datasets/argilla/distilabel-intel-orca-dpo-pairs
"""

from __future__ import annotations

from typing import Any

from bayesrm.data.containers import as_list
from bayesrm.data.formats.base import Label, Row
from bayesrm.data.formats.pairs import ChosenRejected
from bayesrm.data.values import has_no_text, optional_number
from bayesrm.errors import InvalidInputError


class Distilabel(ChosenRejected):
    """distilabel's rated pairs: chosen and rejected with their ratings, and ties where status says so."""

    name = "distilabel"
    columns = (
        "system, input, chosen, rejected, status (tie, swapped or unchanged); optional rating (a list of two)"
    )
    requires = frozenset({"prompt", *ChosenRejected.sides, "status", "rating"})
    optional = frozenset({"source"})
    example = (
        {
            "system": "Be brief.",
            "input": "Name a fruit.",
            "chosen": "Pear.",
            "rejected": "Stone.",
            "generations": ["Pear.", "Stone."],
            "order": ["chosen", "rejected"],
            "rating": [9.0, 4.0],
            "status": "unchanged",
            "rationale": "r",
            "original_chosen": "Pear.",
            "original_rejected": "Stone.",
        },
    )

    def recognises(self, columns: frozenset[str], sample: Any) -> bool:
        """Statuses of its own kind."""
        return super().recognises(columns, sample) and {str(row.get("status")) for row in sample} <= {
            "tie",
            "swapped",
            "unchanged",
        }

    def label(self, row: Row, notes: list[str]) -> Label:
        """A tie where the status says so; the margin is the difference of the ratings."""
        margin = None
        if not has_no_text(row.get("rating")):
            try:
                ratings = [optional_number(one, "rating", notes) for one in as_list(row.get("rating"), "rating")]
            except InvalidInputError:
                ratings = []
            if len(ratings) == 2 and ratings[0] is not None and ratings[1] is not None:
                margin = abs(
                    ratings[0] - ratings[1]
                )  # in the order of the generations, not of chosen and rejected
        return Label(0, 1, 0.5 if row.get("status") == "tie" else 1.0, margin)
