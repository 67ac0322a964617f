"""Argilla's first binarized form of UltraFeedback, by the average of the ratings.

https://huggingface.co/datasets/argilla/ultrafeedback-binarized-preferences
"""

from __future__ import annotations

from bayesrm.data.formats.pairs import ChosenRejected


class UltraFeedbackPreferences(ChosenRejected):
    """UltraFeedback, binarized by Argilla: chosen_response and rejected_response with average ratings."""

    name = "ultrafeedback-preferences"
    columns = "instruction, chosen_response, rejected_response, chosen_avg_rating, rejected_avg_rating"
    sides = ("chosen_response", "rejected_response")
    ratings = (("chosen_avg_rating", "rejected_avg_rating"),)
    generators = (("chosen_model", "rejected_model"),)
    requires = frozenset({"prompt", *sides})
    optional = frozenset({"source", *ratings[0], *generators[0]})
    example = (
        {
            "source": "evol_instruct",
            "instruction": "Name a fruit.",
            "chosen_response": "Pear.",
            "rejected_response": "Stone.",
            "chosen_avg_rating": 4.75,
            "rejected_avg_rating": 2.25,
            "chosen_model": "gpt-4",
        },
    )
