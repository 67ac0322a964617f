"""Preferences as TRL takes them: ``chosen`` and ``rejected``, texts or chat messages, with or without ``prompt``.

So are the many data sets that are made for it, with the ratings and the models of both answers beside them under
several names. https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from bayesrm.data.formats.pairs import ChosenRejected


class TRL(ChosenRejected):
    """TRL's preferences: chosen and rejected, as texts or messages, with or without prompt and margin."""

    name = "trl"
    columns = "chosen, rejected (texts or messages); optional prompt, margin, ratings, models, source"
    requires = frozenset(ChosenRejected.sides)
    ratings = (
        ("chosen_rating", "rejected_rating"),
        ("rating_chosen", "rating_rejected"),
        ("chosen_score", "rejected_score"),
    )
    generators = (("chosen_model", "rejected_model"),)
    optional = frozenset(
        {"prompt", "margin", "source", *(name for names in (*ratings, *generators) for name in names)}
    )
    by_hand = frozenset(ChosenRejected.sides)
    priority = 0
    example = (
        {
            "chosen": [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "Pear."}],
            "rejected": [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "Stone."}],
            "source": "magpie",
        },
    )
