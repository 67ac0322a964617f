"""What a response answers: a question, or the turns of a dialogue so far."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bayesrm.errors import InvalidInputError

SPEAKERS = {"user": "Human", "assistant": "Assistant", "system": "System"}
"""How the roles of a dialogue are called where it is written out as text."""

_ROLES = {"human": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}


class Turn(NamedTuple):
    """What one side of a dialogue said."""

    role: str
    content: str


Conversation = tuple[Turn, ...]


def as_conversation(value: Any, name: str = "prompt") -> Conversation:
    """A prompt in any form that data sets have: a string, or a list of messages with ``role`` and ``content``.

    Raises
    ------
    InvalidInputError
        Where it is something else, or says nothing.
    """
    if isinstance(value, str):
        return (Turn("user", require_text(value, name)),)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, Sequence) or not value:
        raise InvalidInputError(f"expected {name} to be a text or a list of messages, got {_short(value)}")
    turns = []
    for message in value:
        if isinstance(message, Turn):
            turns.append(message)
            continue
        if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
            raise InvalidInputError(f"expected messages with role and content in {name}, got {_short(message)}")
        require_unicode(message["content"], name)
        role = str(message.get("role", "user")).lower()
        turns.append(Turn(_ROLES.get(role, role), message["content"]))
    if not any(turn.content.strip() for turn in turns):
        raise InvalidInputError(f"expected a text in {name}, and it is empty")
    return tuple(turns)


def as_text(conversation: Conversation) -> str:
    """One turn as it is; several written out as ``Human: …``, ``Assistant: …`` with an empty line between."""
    if len(conversation) == 1:
        return conversation[0].content
    return "\n\n".join(f"{SPEAKERS.get(role, role.capitalize())}: {content}" for role, content in conversation)


def as_messages(conversation: Conversation) -> list[dict[str, str]]:
    """The turns as chat templates take them."""
    return [turn._asdict() for turn in conversation]


def to_json(conversation: Conversation) -> str:
    """The turns as one line of JSON."""
    return json.dumps(as_messages(conversation), ensure_ascii=False)


def require_text(value: Any, name: str) -> str:
    """A string that says something; InvalidInputError for anything else."""
    if not isinstance(value, str):
        raise InvalidInputError(f"expected {name} to be a text, got {_short(value)}")
    if not value.strip():
        raise InvalidInputError(f"expected a text in {name}, and it is empty")
    return require_unicode(value, name)


def require_unicode(text: str, name: str) -> str:
    """A string that can be written as UTF-8; InvalidInputError for half characters."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"expected valid UTF-8 in {name}, got a byte or half a character that is none at position {error.start}"
        ) from error
    return text


def shared_beginning(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    shortest = min(len(one), len(other))
    return next((at for at in range(shortest) if one[at] != other[at]), shortest)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
