"""Chatbot Arena: two models answer a person, who says which was better, or that neither was.

Prompts and responses are texts, or lists of the turns, also as JSON. Of several turns the first prompt is the prompt
and all that follows is the answer, because the person judged the whole and later questions answer what was said.
https://www.kaggle.com/competitions/lmsys-chatbot-arena
"""

from __future__ import annotations

import json
from typing import Any

from bayesrm.data.conversation import Turn, as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, number, optional_text, said
from bayesrm.errors import InvalidInputError

SIDES = ("response_a", "response_b")


class Arena(Format):
    """Chatbot Arena: response_a, response_b and who won, or a tie."""

    name = "arena"
    columns = "prompt, response_a, response_b, winner_model_a, winner_model_b, winner_tie"
    needs = frozenset({"prompt", *SIDES, "winner_model_a", "winner_model_b", "winner_tie"})

    def read(self, row: Row) -> Item:
        """Two answers with what the person said."""
        prompts, *sides = (_turns(row.get(name)) for name in ("prompt", *SIDES))
        if None in (prompts, *sides):
            prompts, sides = [row.get("prompt")], [[row.get(name)] for name in SIDES]
        answers = []
        for name, side in zip(SIDES, sides, strict=True):
            assert prompts is not None
            assert side is not None
            if len(side) != len(prompts):
                raise InvalidInputError(f"expected as many turns in {name} as in prompt, got {len(side)}")
            turns = [Turn("assistant", require_text(side[0], name))]
            for asked, answer in zip(prompts[1:], side[1:], strict=True):
                turns += [
                    Turn("user", require_text(asked, "prompt")),
                    Turn("assistant", require_text(answer, name)),
                ]
            answers.append(Answer(said(turns, name), optional_text(row.get(name.replace("response", "model")))))
        assert prompts is not None
        outcome = _outcome(row)
        return Item(as_conversation(prompts[0]), tuple(answers), (Label(0, 1, outcome),))


def _turns(value: Any) -> list[Any] | None:
    """A list of turns, also as JSON; None for a plain text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return list(value) if isinstance(value, (list, tuple)) and value else None


def _outcome(row: Row) -> float:
    said_so = {
        outcome: _is_true(row.get(name), name)
        for outcome, name in ((1.0, "winner_model_a"), (0.0, "winner_model_b"), (0.5, "winner_tie"))
    }
    outcomes = [outcome for outcome, true in said_so.items() if true]
    if len(outcomes) != 1:
        raise InvalidInputError(f"expected one of model a, model b and a tie to have won, got {len(outcomes)}")
    return outcomes[0]


def _is_true(value: Any, name: str) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return number(value, name) != 0
