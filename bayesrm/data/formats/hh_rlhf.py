r"""hh-rlhf: ``chosen`` and ``rejected`` are whole dialogues within a string, turns opened by ``\n\nHuman:`` and
``\n\nAssistant:``. https://huggingface.co/datasets/Anthropic/hh-rlhf"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bayesrm.data.conversation import Conversation, Turn, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, said, shared_turns
from bayesrm.errors import InvalidInputError

_OPENING = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


class HHRLHF(Format):
    """hh-rlhf: chosen and rejected dialogues within a string; the prompt is what they share."""

    name = "hh-rlhf"
    columns = "chosen, rejected (dialogues within a string, turns opened by Human: and Assistant:)"
    requires = frozenset({"chosen", "rejected"})
    dialogues = frozenset()
    example = (
        {
            "chosen": "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: Sky?\n\nAssistant: Blue.",
            "rejected": "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: Sky?\n\nAssistant: Green.",
        },
    )

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """Strings that open with ``Human:``, and no prompt beside them."""
        return (
            super().recognises(columns, sample)
            and "prompt" not in columns
            and any(_is_dialogue(row.get("chosen")) for row in sample)
        )

    def read(self, row: Row) -> Item:
        """The shared turns, and the two ways in which they go on."""
        chosen, rejected = (_whole(row.get(side), side) for side in ("chosen", "rejected"))
        shared = shared_turns(chosen, rejected)
        if not shared:
            raise InvalidInputError("expected chosen and rejected to begin with the same turns, and they do not")
        answers = Answer(said(chosen[shared:], "chosen")), Answer(said(rejected[shared:], "rejected"))
        return Item(chosen[:shared], answers, (Label(0, 1),))


def dialogue(text: Any, name: str) -> Conversation:
    """The turns of a dialogue within a string; an opening of the answer that nothing follows is left out."""
    parts = _OPENING.split(require_text(text, name).lstrip())
    if parts[0].strip() or len(parts) < 3:
        raise InvalidInputError(f"expected a dialogue of Human: and Assistant: in {name}, got {text[:40]!r}")
    turns = [
        Turn(_ROLES[speaker], content.strip()) for speaker, content in zip(parts[1::2], parts[2::2], strict=True)
    ]
    if turns[-1].role == "assistant" and not turns[-1].content:
        turns.pop()
    if not any(turn.content for turn in turns):
        raise InvalidInputError(f"expected a text in {name}, and it is empty")
    return tuple(turns)


def _whole(text: Any, name: str) -> Conversation:
    turns = dialogue(text, name)
    if len(turns) < 2:
        raise InvalidInputError(f"expected a dialogue of Human: and Assistant: in {name}, got {text[:40]!r}")
    return turns


def _is_dialogue(text: Any) -> bool:
    return isinstance(text, str) and text.lstrip().startswith("Human:") and "\n\nAssistant:" in text
