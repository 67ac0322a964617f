r"""hh-rlhf: ``chosen`` and ``rejected`` are whole dialogues within a string, turns opened by ``\n\nHuman:`` and
``\n\nAssistant:``. https://huggingface.co/datasets/Anthropic/hh-rlhf"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bayesrm.data.conversation import Conversation, Turn, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, said, shared_turns
from bayesrm.data.formats.trl import dialogues_within_strings
from bayesrm.errors import InvalidInputError

_OPENING = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


class HHRLHF(Format):
    """hh-rlhf: chosen and rejected dialogues within a string; the prompt is what they share."""

    name = "hh-rlhf"
    columns = "chosen, rejected (dialogues within a string, turns opened by Human: and Assistant:)"
    needs = frozenset({"chosen", "rejected"})
    foreign = frozenset({"num_correct", "chosen-rating"})

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """Strings that open with ``Human:``."""
        return super().recognises(columns, sample) and dialogues_within_strings(columns, sample)

    def read(self, row: Row) -> Item:
        """The shared turns, and the two ways in which they go on."""
        chosen, rejected = _turns(row.get("chosen"), "chosen"), _turns(row.get("rejected"), "rejected")
        shared = shared_turns(chosen, rejected)
        if not shared:
            raise InvalidInputError("expected chosen and rejected to begin with the same turns, and they do not")
        answers = Answer(said(chosen[shared:], "chosen")), Answer(said(rejected[shared:], "rejected"))
        return Item(chosen[:shared], answers, (Label(0, 1),))


def _turns(text: Any, name: str) -> Conversation:
    parts = _OPENING.split(require_text(text, name).lstrip("\n"))
    if parts[0].strip() or len(parts) < 5:
        raise InvalidInputError(f"expected a dialogue of Human: and Assistant: in {name}, got {text[:40]!r}")
    return tuple(
        Turn(_ROLES[speaker], content.strip()) for speaker, content in zip(parts[1::2], parts[2::2], strict=True)
    )
