"""What a response answers: a question, or the turns of a dialogue so far."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bayesrm.data.values import has_no_text
from bayesrm.errors import InvalidInputError

SPEAKERS = {"user": "Human", "assistant": "Assistant", "system": "System", "tool": "Tool"}
"""How the roles of a dialogue are called where it is written out as text."""

_ROLES = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "developer": "system",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
}
_KEYS = ("content", "value", "tool_calls", "function_call")
"""What a message can say something with."""


class Turn(NamedTuple):
    """What one side of a dialogue said."""

    role: str
    content: str


Conversation = tuple[Turn, ...]


def as_conversation(value: Any, name: str = "prompt", role: str = "user") -> Conversation:
    """A prompt in any form that data sets have: a string, or a list of messages.

    Messages have ``role`` and ``content``, or ``from`` and ``value`` as in ShareGPT. Content is a text, nothing, or a
    list of parts, whose texts are joined; a call of a tool is written as ``<tool_call>`` with its name and arguments.

    Parameters
    ----------
    value
        The prompt, or an answer.
    name
        The column that it comes from, for messages.
    role
        Of a string, and of messages that name none.

    Raises
    ------
    InvalidInputError
        Where it is something else, says nothing, or has parts that are no text.
    """
    if isinstance(value, str):
        return (Turn(role, require_text(value, name)),)
    turns = as_turns(value, name, role)
    if not any(turn.content.strip() for turn in turns):
        raise InvalidInputError(f"expected a text in {name}, and it is empty")
    for turn in turns:
        require_unicode(turn.role + turn.content, name)
    return turns


def as_turns(value: Any, name: str = "prompt", role: str = "user", only_text: bool = True) -> Conversation:
    """The turns of a list of messages, also empty ones.

    Parameters
    ----------
    value, name, role
        As in :func:`as_conversation`; no string.
    only_text
        Whether parts that are no text (images, sound) are refused; else they are named in square brackets.

    Raises
    ------
    InvalidInputError
        Where it is no list of messages.
    """
    if isinstance(value, (Mapping, Turn)):
        value = [value]
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
        raise InvalidInputError(f"expected {name} to be a text or a list of messages, got {_short(value)}")
    return tuple(
        message if isinstance(message, Turn) else _turn(message, name, role, only_text) for message in value
    )


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
        # Readers of files keep a byte that is no UTF-8 as one of these half characters.
        byte = "\udc80" <= text[error.start] <= "\udcff"
        raise InvalidInputError(
            f"expected valid UTF-8 in {name}, got a byte or half a character that is none at position {error.start}"
            + (": save the file as UTF-8, which spreadsheets call CSV UTF-8" if byte else "")
        ) from error
    return text


def shared_beginning(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    shortest = min(len(one), len(other))
    return next((at for at in range(shortest) if one[at] != other[at]), shortest)


def _turn(message: Any, name: str, role: str, only_text: bool) -> Turn:
    if not isinstance(message, Mapping) or not any(key in message for key in _KEYS):
        raise InvalidInputError(f"expected messages with role and content in {name}, got {_short(message)}")
    speaker = message.get("role") if message.get("role") is not None else message.get("from")
    spoken = role if speaker is None else str(speaker).strip().lower()
    content = message.get("content") if message.get("content") is not None else message.get("value")
    texts = [_content(content, name, only_text)]
    if spoken == "function_call":
        texts = [_call_text(texts[0])]
    texts += _calls(message, name)
    return Turn(_ROLES.get(spoken, spoken), "\n".join(text for text in texts if text))


def _content(content: Any, name: str, only_text: bool) -> str:
    """The text of a message's content."""
    if has_no_text(content):
        return content if isinstance(content, str) else ""
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, Mapping) else content
    if not isinstance(parts, Sequence) or isinstance(parts, bytes):
        raise InvalidInputError(
            f"expected a text or parts as content of a message in {name}, got {_short(content)}"
        )
    return "".join(_part(part, name, only_text) for part in parts)


def _part(part: Any, name: str, only_text: bool) -> str:
    if isinstance(part, str):
        return part
    kind = str(part.get("type") or "text") if isinstance(part, Mapping) else type(part).__name__
    if isinstance(part, Mapping):
        if kind == "tool_use":
            return _call_text({"name": part.get("name"), "arguments": part.get("input")})
        if kind == "tool_result":
            return _content(part.get("content"), name, only_text)
        if isinstance(part.get("text"), str):
            return str(part["text"])
        if kind == "text" and part.get("text") is None and "text" in part:
            return ""
    if only_text:
        raise InvalidInputError(f"expected parts of text in the messages of {name}, got one of type {kind!r:.40}")
    return f"[{kind}]"


def _calls(message: Mapping[str, Any], name: str) -> list[str]:
    """The calls of tools in a message, a text each: the same call is the same text, however it was written."""
    calls = message.get("tool_calls")
    if has_no_text(calls):
        calls = []
    if isinstance(calls, (str, Mapping)):
        calls = [calls]
    if not isinstance(calls, Sequence):
        raise InvalidInputError(f"expected a list of tool_calls in {name}, got {_short(calls)}")
    legacy = message.get("function_call")
    return [_call_text(call) for call in (*calls, legacy) if not has_no_text(call)]


def _call_text(call: Any) -> str:
    call = _parsed(call)
    if isinstance(call, Mapping):
        inner = call.get("function")
        function = inner if isinstance(inner, Mapping) else call
        call = {"name": function.get("name"), "arguments": _parsed(function.get("arguments"))}
    if not isinstance(call, str):
        call = json.dumps(_canonical(call), ensure_ascii=False, default=str)
    return f"<tool_call>\n{call}\n</tool_call>"


def _parsed(value: Any) -> Any:
    """Arguments that were written as JSON, as what they are."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _canonical(value: Any) -> Any:
    """With sorted keys, but for a call's own, and without the nulls of a table whose rows have different keys."""
    if isinstance(value, Mapping):
        keys = list(value) if set(value) == {"name", "arguments"} else sorted(value, key=str)
        return {str(key): _canonical(value[key]) for key in keys if value[key] is not None}
    return [_canonical(one) for one in value] if isinstance(value, (list, tuple)) else value


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
