"""Prompts with responses, nothing labelled: a response a row, or a list of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bayesrm.data.conversation import as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Row, optional_text
from bayesrm.errors import InvalidInputError


class Responses(Format):
    """Prompts and responses: one response a row, or a list in ``responses``."""

    name = "responses"
    columns = "prompt, response (or responses, a list); optional prompt_id, generator, source"
    needs = frozenset({"prompt"})
    foreign = frozenset({"chosen", "rejected", "response_a", "response_b"})
    lists = True

    def recognises(self, columns: frozenset[str], sample: Sequence[Row]) -> bool:
        """Both a prompt and responses."""
        return super().recognises(columns, sample) and bool({"response", "responses"} & columns)

    def read(self, row: Row) -> Item:
        """Every response of a row."""
        texts = _as_list(row["responses"] if row.get("responses") is not None else row.get("response"))
        if not texts:
            raise InvalidInputError("expected at least one response, got an empty list")
        generators = row.get("generators", row.get("generator"))
        if isinstance(generators, str) or generators is None:
            generators = [generators] * len(texts)
        if len(generators) != len(texts):
            raise InvalidInputError(f"expected a generator a response, got {len(generators)} for {len(texts)}")
        answers = tuple(
            Answer(require_text(text, "response"), optional_text(generator))
            for text, generator in zip(texts, generators, strict=True)
        )
        return Item(
            as_conversation(row.get("prompt")),
            answers,
            prompt_id=row.get("prompt_id"),
            source=optional_text(row.get("source")),
        )


def _as_list(value: Any) -> list[Any]:
    """Responses as a list; a spreadsheet has a list as JSON, and a chat response is its last message."""
    if isinstance(value, str) and value.lstrip().startswith('["'):
        try:
            value = json.loads(value)
        except ValueError:
            return [value]
    if not isinstance(value, Sequence) or isinstance(value, str):
        return [value]
    if value and isinstance(value[0], dict):
        return [as_conversation(value, "response")[-1].content]
    return list(value)
