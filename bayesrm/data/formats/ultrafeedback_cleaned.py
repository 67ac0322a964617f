"""The cleaned form of UltraFeedback: one chosen and one rejected completion, with their ratings and models.

https://huggingface.co/datasets/argilla/ultrafeedback-binarized-preferences-cleaned
"""

from __future__ import annotations

from typing import Any

from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, number, optional_text
from bayesrm.data.formats.trl import SIDES, split


class UltraFeedbackCleaned(Format):
    """UltraFeedback, cleaned: chosen and rejected with ratings and models."""

    name = "ultrafeedback-cleaned"
    columns = "prompt, chosen, chosen-rating, chosen-model, rejected, rejected-rating, rejected-model"
    needs = frozenset({*SIDES, "chosen-rating", "rejected-rating"})

    def read(self, row: Row) -> Item:
        """Two answers, the first preferred; the margin is the difference of their ratings."""
        prompt, texts = split(row)
        answers = tuple(
            Answer(text, optional_text(row.get(f"{side}-model"))) for text, side in zip(texts, SIDES, strict=True)
        )
        ratings: list[Any] = [row.get(f"{side}-rating") for side in SIDES]
        margin = None
        if all(rating not in (None, "") for rating in ratings):
            margin = number(ratings[0], "chosen-rating") - number(ratings[1], "rejected-rating")
        return Item(prompt, answers, (Label(0, 1, margin=margin),), source=optional_text(row.get("source")))
