"""Preferences as TRL takes them: ``chosen`` and ``rejected``, texts or chat messages, with or without ``prompt``.

Without a prompt, the prompt is what chosen and rejected have in common at their beginning, as in TRL's
``extract_prompt``. https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from collections.abc import Sequence

from bayesrm.data.conversation import Conversation, Turn, as_conversation, require_text, shared_beginning
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, number, said, shared_turns
from bayesrm.errors import InvalidInputError

SIDES = ("chosen", "rejected")


class TRL(Format):
    """TRL's preferences: chosen and rejected, as texts or messages, with or without prompt and margin."""

    name = "trl"
    columns = "chosen, rejected (texts or messages); optional prompt, margin"
    needs = frozenset(SIDES)
    foreign = frozenset({"num_correct", "chosen-rating"})

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """Chosen and rejected, but not dialogues within a string."""
        return super().recognises(columns, sample) and not dialogues_within_strings(columns, sample)

    def read(self, row: Row) -> Item:
        """Two answers, the first preferred."""
        margin = row.get("margin")
        prompt, answers = split(row)
        label = Label(0, 1, margin=None if margin in (None, "") else number(margin, "margin"))
        return Item(prompt, tuple(Answer(text) for text in answers), (label,))


def dialogues_within_strings(columns: frozenset[str], sample: Sequence[Row]) -> bool:
    """Whether a whole dialogue stands in each string, as in hh-rlhf."""
    texts = [row.get("chosen") for row in sample]
    return "prompt" not in columns and any(
        isinstance(text, str) and text.lstrip().startswith("Human:") and "\n\nAssistant:" in text for text in texts
    )


def split(row: Row) -> tuple[Conversation, tuple[str, str]]:
    """The prompt, and the two answers to it."""
    chosen, rejected = row.get("chosen"), row.get("rejected")
    given = row.get("prompt")
    if isinstance(chosen, str) and isinstance(rejected, str):
        if given in (None, "", []):
            shared = shared_beginning(chosen, rejected)
            if chosen[:shared].endswith(" "):
                shared -= 1  # the blank belongs to the answers, as tokens have it
            if not chosen[:shared].strip():
                raise InvalidInputError(
                    "expected a prompt, or chosen and rejected that begin with it: they share no beginning"
                )
            given, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
        return as_conversation(given), (require_text(chosen, "chosen"), require_text(rejected, "rejected"))
    one, other = as_conversation(chosen, "chosen"), as_conversation(rejected, "rejected")
    if given in (None, "", []):
        shared = shared_turns(one, other)
        if not shared:
            raise InvalidInputError("expected a prompt, or chosen and rejected that begin with the same messages")
        prompt = one[:shared]
    else:
        prompt = as_conversation(given)
    return prompt, (said(_after(prompt, one), "chosen"), said(_after(prompt, other), "rejected"))


def _after(prompt: Conversation, turns: Conversation) -> Sequence[Turn]:
    """What follows the prompt: some data sets repeat it in chosen and rejected, some do not."""
    asked = [turn for turn in prompt if turn.role != "system"]
    plain = [turn for turn in turns if turn.role != "system"]
    return plain[len(asked) :] if plain[: len(asked)] == asked else plain
