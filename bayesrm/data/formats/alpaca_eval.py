"""Annotations of alpaca_eval: two outputs and a preference, 1 for the first, 2 for the second.

What lies between is a soft label, as weighted annotators write it; 1.5 and 0 are a tie.
https://github.com/tatsu-lab/alpaca_eval
"""

from __future__ import annotations

from bayesrm.data.conversation import require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row
from bayesrm.data.values import number, optional_name
from bayesrm.errors import InvalidInputError

SIDES = ("output_1", "output_2")
GENERATORS = ("generator_1", "generator_2")


class AlpacaEval(Format):
    """alpaca_eval's annotations: output_1 and output_2 with a preference from 1 to 2."""

    name = "alpaca-eval"
    columns = "instruction, output_1, output_2, preference; optional input, generator_1, generator_2, dataset"
    requires = frozenset({"prompt", *SIDES, "preference"})
    optional = frozenset({*GENERATORS, "dataset"})
    example = (
        {
            "instruction": "Name a metal.",
            "output_1": "Iron.",
            "output_2": "Wood.",
            "generator_1": "text_davinci_003",
            "generator_2": "alpaca-7b",
            "dataset": "helpful_base",
            "annotator": "alpaca_eval_gpt4",
            "preference": 1.0,
            "price_per_example": 0.01,
            "time_per_example": 0.4,
            "raw_completion": None,
        },
    )

    def read(self, row: Row) -> Item:
        """Two answers; 2 less the preference is the probability that the first is preferred."""
        preference = number(row.get("preference"), "preference")
        if not (1 <= preference <= 2 or preference == 0):
            raise InvalidInputError(f"expected a preference from 1 to 2, or 0 for a tie, got {preference:g}")
        answers = tuple(
            Answer(require_text(row.get(side), side), optional_name(row.get(generator)))
            for side, generator in zip(SIDES, GENERATORS, strict=True)
        )
        outcome = 0.5 if preference == 0 else 2 - preference
        return Item(row["prompt"], answers, (Label(0, 1, outcome),), source=optional_name(row.get("dataset")))
