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
    example = (
        {
            "source": "evol_instruct",
            "prompt": "What color is the sky?",
            "chosen": [
                {"role": "user", "content": "What color is the sky?"},
                {"role": "assistant", "content": "Blue."},
            ],
            "chosen-rating": 5.0,
            "chosen-model": "m1",
            "rejected": [
                {"role": "user", "content": "What color is the sky?"},
                {"role": "assistant", "content": "Green."},
            ],
            "rejected-rating": 3.5,
            "rejected-model": "m2",
        },
    )
