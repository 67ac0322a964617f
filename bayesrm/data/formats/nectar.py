r"""Nectar: several answers to a prompt, ranked from 1, the best. The prompt is a dialogue within a string.

https://huggingface.co/datasets/berkeley-nest/Nectar
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bayesrm.data.conversation import as_text
from bayesrm.data.formats.base import Format, Item, Row, all_pairs, several_answers
from bayesrm.data.formats.hh_rlhf import dialogue
from bayesrm.data.values import has_no_text, optional_name, optional_number
from bayesrm.errors import InvalidInputError


class Nectar(Format):
    """Nectar: answers with ranks; of every two, that of the smaller rank is preferred."""

    name = "nectar"
    columns = "prompt, answers (a list of answer, model and rank); optional source"
    requires = frozenset({"prompt", "answers"})
    optional = frozenset({"source"})
    containers = frozenset({"answers"})
    example = (
        {
            "prompt": "\n\nHuman: Name a tree.\n\nAssistant: ",
            "answers": [
                {"answer": "Oak.", "model": "gpt-4", "rank": 1.0},
                {"answer": "Grass.", "model": "llama-2-7b", "rank": 3.0},
                {"answer": "A tree.", "model": "mistral", "rank": 2.0},
            ],
            "turns": 1,
            "num_responses": 3,
            "source": ["sharegpt"],
            "good_natured": True,
        },
    )

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """Answers with ranks, where they are lists already."""
        lists = [row["answers"] for row in sample if isinstance(row.get("answers"), list)]
        return super().recognises(columns, sample) and all(
            isinstance(one, Mapping) and "answer" in one for answers in lists for one in answers
        )

    def read(self, row: Row) -> Item:
        """Every answer, and a label for every two that have ranks."""
        given = row.get("answers")
        if not isinstance(given, (list, tuple)) or has_no_text(given):
            raise InvalidInputError("expected a list of answers, and there is none")
        notes: list[str] = []
        known = [one if isinstance(one, Mapping) else {} for one in given]
        models = [one.get("model") for one in known]
        found = several_answers([one.get("answer") for one in known], "answer", models, notes)
        ranks = [optional_number(known[place].get("rank"), "rank", notes) for place in found]
        scores = [None if rank is None else -rank for rank in ranks]
        prompt = row["prompt"]
        text = as_text(prompt)
        if len(prompt) == 1 and text.lstrip().startswith("Human:"):
            prompt = dialogue(text, "prompt")
        return Item(
            prompt,
            tuple(found.values()),
            all_pairs(scores),
            source=_source(row.get("source")),
            places=len(given),
            notes=tuple(notes),
        )


def _source(value: object) -> str | None:
    return ", ".join(map(str, value)) if isinstance(value, list) and value else optional_name(value)
