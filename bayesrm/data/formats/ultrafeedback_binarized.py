"""The binarized form of UltraFeedback: messages of a chosen and a rejected completion, with their scores.

https://huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized, also as allenai and trl-lib publish it.
"""

from __future__ import annotations

from bayesrm.data.formats.pairs import ChosenRejected


class UltraFeedbackBinarized(ChosenRejected):
    """UltraFeedback, binarized: chosen and rejected with score_chosen and score_rejected."""

    name = "ultrafeedback-binarized"
    columns = "chosen, rejected, score_chosen, score_rejected; optional prompt, prompt_id, source"
    ratings = (("score_chosen", "score_rejected"),)
    requires = frozenset({*ChosenRejected.sides, *ratings[0]})
    optional = frozenset({"prompt", "source"})
    example = (
        {
            "prompt": "Name a fruit.",
            "prompt_id": "0f1e",
            "chosen": [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "Pear."}],
            "rejected": [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "Stone."}],
            "messages": [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "Pear."}],
            "score_chosen": 8.5,
            "score_rejected": 6.0,
        },
    )
