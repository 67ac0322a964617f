"""UltraFeedback: several completions a prompt, each rated on several aspects by one judge.

The better of two completions is the one with the higher mean rating, as in its cleaned form.
https://huggingface.co/datasets/openbmb/UltraFeedback
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayesrm.data.containers import parse_container
from bayesrm.data.formats.base import Format, Item, Row, all_pairs, one_each, several_answers
from bayesrm.data.values import has_no_text, optional_name, optional_number
from bayesrm.errors import InvalidInputError


class UltraFeedback(Format):
    """UltraFeedback: completions with ratings; every two of a prompt are compared by their mean rating."""

    name = "ultrafeedback"
    columns = "instruction, completions (with response and annotations); optional source, models"
    requires = frozenset({"prompt", "completions"})
    optional = frozenset({"source", "models"})
    containers = frozenset({"completions", "models"})
    example = (
        {
            "source": "sharegpt",
            "instruction": "What color is the sky?",
            "models": ["m1", "m2", "m3"],
            "completions": [
                {
                    "model": "m1",
                    "response": "Blue.",
                    "annotations": {"helpfulness": {"Rating": "5", "Rationale": "r"}, "honesty": {"Rating": "4"}},
                },
                {
                    "model": "m2",
                    "response": "Green.",
                    "annotations": {"helpfulness": {"Rating": "1"}, "honesty": {"Rating": "N/A"}},
                },
                {
                    "model": "m3",
                    "response": "Azure.",
                    "annotations": {"helpfulness": {"Rating": "4"}, "honesty": {"Rating": "5"}},
                },
            ],
            "correct_answers": ["None"],
        },
    )

    def read(self, row: Row) -> Item:
        """Every completion that says something, and a label for every two that were rated."""
        completions = row.get("completions")
        if not isinstance(completions, (list, tuple)) or has_no_text(completions):
            raise InvalidInputError("expected a list of completions, and there is none")
        notes: list[str] = []
        known = [one if isinstance(one, Mapping) else {} for one in completions]
        models = one_each(row.get("models"), len(known), "models", notes) or [None] * len(known)
        writers = [optional_name(one.get("model")) or model for one, model in zip(known, models, strict=True)]
        found = several_answers([one.get("response") for one in known], "response", writers, notes)
        ratings = [_mean_rating(known[place].get("annotations"), notes) for place in found]
        return Item(
            row["prompt"],
            tuple(found.values()),
            all_pairs(ratings),
            source=optional_name(row.get("source")),
            places=len(known),
            notes=tuple(notes),
        )


def _mean_rating(annotations: Any, notes: list[str]) -> float | None:
    """The mean over the aspects that have a rating; None where none has."""
    if isinstance(annotations, str):
        annotations = parse_container(annotations)
    if not isinstance(annotations, Mapping):
        return None
    ratings = []
    for aspect in annotations.values():
        for one in aspect if isinstance(aspect, (list, tuple)) else [aspect]:
            rating = optional_number(one.get("Rating"), "Rating", notes) if isinstance(one, Mapping) else None
            ratings += [] if rating is None else [rating]
    return sum(ratings) / len(ratings) if ratings else None
