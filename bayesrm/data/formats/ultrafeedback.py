"""UltraFeedback: several completions a prompt, each rated on several aspects by one judge.

The better of two completions is the one with the higher mean rating, as in its cleaned form.
https://huggingface.co/datasets/openbmb/UltraFeedback
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from bayesrm.data.conversation import as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, optional_text
from bayesrm.errors import InvalidInputError


class UltraFeedback(Format):
    """UltraFeedback: completions with ratings; every two of a prompt are compared by their mean rating."""

    name = "ultrafeedback"
    columns = "instruction, completions (with response and annotations); optional source, models"
    needs = frozenset({"instruction", "completions"})

    def read(self, row: Row) -> Item:
        """Every completion, and a label for every two that were rated."""
        completions = row.get("completions")
        if not isinstance(completions, (list, tuple)) or not completions:
            raise InvalidInputError("expected a list of completions, and there is none")
        models = row.get("models") or []
        answers, ratings = [], []
        for at, completion in enumerate(completions):
            if not isinstance(completion, Mapping):
                raise InvalidInputError(f"expected completions with response, got {type(completion).__name__}")
            model = completion.get("model") or (models[at] if len(models) == len(completions) else None)
            answers.append(Answer(require_text(completion.get("response"), "response"), optional_text(model)))
            ratings.append(_mean_rating(completion.get("annotations")))
        labels = []
        for i, j in combinations(range(len(answers)), 2):
            one, other = ratings[i], ratings[j]
            if one is not None and other is not None:
                outcome = 0.5 if one == other else float(one > other)
                labels.append(Label(i, j, outcome, margin=abs(one - other)))
        return Item(
            as_conversation(row.get("instruction"), "instruction"),
            tuple(answers),
            tuple(labels),
            source=optional_text(row.get("source")),
        )


def _mean_rating(annotations: Any) -> float | None:
    """The mean over the aspects that have a rating; None where none has."""
    if not isinstance(annotations, Mapping):
        return None
    ratings = []
    for aspect in annotations.values():
        for one in aspect if isinstance(aspect, (list, tuple)) else [aspect]:
            if isinstance(one, Mapping):
                try:
                    ratings.append(float(one.get("Rating")))  # type: ignore[arg-type]
                except (TypeError, ValueError):
                    continue  # "N/A"
    return sum(ratings) / len(ratings) if ratings else None
