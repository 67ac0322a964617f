"""Chatbot Arena: two models answer a person, who says which was better, or that neither was.

Prompts and responses are texts, or lists of the turns, also as JSON. Of several turns the first prompt is the prompt
and all that follows is the answer, because the person judged the whole and later questions answer what was said.
https://www.kaggle.com/competitions/lmsys-chatbot-arena
"""

from __future__ import annotations

from typing import Any

from bayesrm.data.containers import parse_container
from bayesrm.data.conversation import Turn, as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, said
from bayesrm.data.values import is_true, optional_name
from bayesrm.errors import InvalidInputError

SIDES = ("response_a", "response_b")
MODELS = ("model_a", "model_b")
WINNERS = {"winner_model_a": 1.0, "winner_model_b": 0.0, "winner_tie": 0.5}


class Arena(Format):
    """Chatbot Arena, as on Kaggle: response_a, response_b and who won, or a tie."""

    name = "arena"
    columns = "prompt, response_a, response_b, winner_model_a, winner_model_b, winner_tie"
    requires = frozenset({"prompt", *SIDES, *WINNERS})
    optional = frozenset(MODELS)
    dialogues = frozenset()
    own_prompt = True
    example = (
        {
            "id": 1,
            "model_a": "m1",
            "model_b": "m2",
            "prompt": '["Sky?"]',
            "response_a": '["Blue."]',
            "response_b": '["Green."]',
            "winner_model_a": 0,
            "winner_model_b": 1,
            "winner_tie": 0,
        },
    )

    def read(self, row: Row) -> Item:
        """Two answers with what the person said."""
        asked = row.get("prompt")
        prompts, *sides = (_turns(value) for value in (asked, *(row.get(name) for name in SIDES)))
        if prompts is None or None in sides:
            prompts, sides = [asked], [[row.get(name)] for name in SIDES]
        answers = []
        for name, model, side in zip(SIDES, MODELS, sides, strict=True):
            assert side is not None
            if len(side) != len(prompts):
                raise InvalidInputError(f"expected as many turns in {name} as in prompt, got {len(side)}")
            turns = [Turn("assistant", require_text(side[0], name))]
            for question, answer in zip(prompts[1:], side[1:], strict=True):
                turns += [
                    Turn("user", require_text(question, "prompt")),
                    Turn("assistant", require_text(answer, name)),
                ]
            answers.append(Answer(said(turns, name), optional_name(row.get(model))))
        return Item(as_conversation(prompts[0]), tuple(answers), (Label(0, 1, _outcome(row)),))


def _turns(value: Any) -> list[Any] | None:
    """A list of turns, also as text; None for a plain text."""
    if isinstance(value, str):
        value = parse_container(value)
    return list(value) if isinstance(value, (list, tuple)) and value else None


def _outcome(row: Row) -> float:
    outcomes = [outcome for name, outcome in WINNERS.items() if is_true(row.get(name), name)]
    if len(outcomes) != 1:
        raise InvalidInputError(f"expected one of model a, model b and a tie to have won, got {len(outcomes)}")
    return outcomes[0]
