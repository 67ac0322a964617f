"""Prompts with responses, nothing labelled: a response a row, or a list of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bayesrm.data.containers import are_messages, parse_container
from bayesrm.data.conversation import Conversation, as_conversation, as_text
from bayesrm.data.formats.base import Format, Item, Row, one_each, several_answers
from bayesrm.data.values import has_no_text, optional_name
from bayesrm.errors import InvalidInputError


class Responses(Format):
    """Prompts and responses: one response a row, or a list in ``responses``."""

    name = "responses"
    columns = "prompt, response (or responses, a list); optional prompt_id, generator or model, source"
    requires = frozenset({"prompt"})
    optional = frozenset({"response", "responses", "generator", "generators", "model", "models", "source"})
    by_hand = frozenset({"response"})
    priority = -1
    lists = True
    example = (
        {
            "prompt_id": 7,
            "prompt": "What color is the sky?",
            "response": "Blue.",
            "generator": "a",
            "source": "made",
        },
    )

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """Both a prompt and responses."""
        return super().recognises(columns, sample) and bool({"response", "responses"} & columns)

    def messages_in(self, sheet: bool) -> frozenset[str]:
        """A response is a text, whatever it looks like; only a sheet may have written messages as one."""
        return self.dialogues | ({"response"} if sheet else frozenset())

    def read(self, row: Row) -> Item:
        """Every response of a row that says something."""
        notes: list[str] = []
        texts = _responses(row, row["prompt"])
        if not texts:
            raise InvalidInputError("expected at least one response, got an empty list")
        written = next(
            (
                row[name]
                for name in ("generators", "generator", "models", "model")
                if not has_no_text(row.get(name))
            ),
            None,
        )
        if isinstance(written, str) and written.lstrip().startswith("["):
            written = parse_container(written) or written
        generators = one_each(written, len(texts), "generators", notes)
        found = several_answers(texts, "response", generators, notes)
        return Item(
            row["prompt"],
            tuple(found.values()),
            source=optional_name(row.get("source")),
            places=len(texts),
            notes=tuple(notes),
        )


def _responses(row: Row, prompt: Conversation) -> list[Any]:
    """``response`` is one, unless it is a list; ``responses`` is a list, also one that became text."""
    value, several = row.get("response"), False
    if has_no_text(value) and row.get("responses") is not None:
        value, several = row["responses"], True
    if several and isinstance(value, str) and value.lstrip().startswith("["):
        found = parse_container(value)
        if found is None:
            raise InvalidInputError(f"expected a list in responses, and its text is damaged: {value!r:.60}")
        value = found
    if not isinstance(value, (list, tuple, dict)):
        return [value]
    if are_messages(value):
        messages = [value] if isinstance(value, dict) else list(value)
        only_answers = all(_role(message) == "assistant" for message in messages)
        if several and len(messages) > 1 and only_answers:
            return [_chat([message], prompt) for message in messages]
        return [_chat(messages, prompt)]
    if isinstance(value, dict):
        name = "responses" if several else "response"
        raise InvalidInputError(f"expected a text or a list of them in {name}, got an object: {value!r:.60}")
    return [_chat(one, prompt) if are_messages(one) else one for one in value]


def _role(message: Any) -> str:
    return as_conversation([{**message, "content": "x"}], "response", "assistant")[0].role


def _chat(messages: Any, prompt: Conversation) -> str | None:
    """The response of a chat: what follows the prompt, or what the assistant said last."""
    turns = as_conversation(messages, "response", "assistant")
    if turns[: len(prompt)] == prompt:
        turns = turns[len(prompt) :]
    if any(turn.role == "user" for turn in turns):
        turns = tuple(turn for turn in turns if turn.role == "assistant")[-1:]
    return as_text(turns) if turns else None
