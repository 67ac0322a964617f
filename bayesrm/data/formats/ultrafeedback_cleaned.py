"""The cleaned form of UltraFeedback: one chosen and one rejected completion, with their ratings and models.

https://huggingface.co/datasets/argilla/ultrafeedback-binarized-preferences-cleaned
"""

from __future__ import annotations

from bayesrm.data.formats.pairs import ChosenRejected


class UltraFeedbackCleaned(ChosenRejected):
    """UltraFeedback, cleaned: chosen and rejected with ratings and models."""

    name = "ultrafeedback-cleaned"
    columns = "prompt, chosen, chosen-rating, chosen-model, rejected, rejected-rating, rejected-model"
    ratings = (("chosen-rating", "rejected-rating"),)
    generators = (("chosen-model", "rejected-model"),)
    requires = frozenset({*ChosenRejected.sides, *ratings[0]})
    optional = frozenset({"prompt", "source", *generators[0]})
