"""Prompt and response as the one string that a model reads, and where in it the response stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bayesrm.data.conversation import Conversation, Turn, as_messages, as_text, shared_beginning
from bayesrm.errors import InvalidInputError

JOIN = "\n\n"
"""Between prompt and response where there is no chat template; encoders of words read it as any blank."""


@dataclass(frozen=True)
class Rendered:
    """A text with its response at ``[start:end]``; for pairs the response is ``second``."""

    text: str
    start: int
    end: int
    second: str | None = None


def render(tokenizer: Any, template: str, prompt: Conversation, response: str) -> Rendered:
    """Write prompt and response as the template has it.

    Raises
    ------
    InvalidInputError
        Where the tokenizer has no chat template, or its template refuses the dialogue.
    """
    if template == "chat":
        return _chat(tokenizer, prompt, response)
    if template == "pair":
        return Rendered(as_text(prompt), 0, len(response), second=response)
    head = as_text(prompt) + JOIN
    return Rendered(head + response, len(head), len(head) + len(response))


def _chat(tokenizer: Any, prompt: Conversation, response: str) -> Rendered:
    text = _apply(tokenizer, (*prompt, Turn("assistant", response)), False)
    said = response.strip()
    start = text.rfind(said)
    if start >= 0:
        return Rendered(text, start, start + len(said))
    # The template rewrote the response: it begins where the text departs from an opened, empty answer.
    opened = _apply(tokenizer, prompt, True)
    return Rendered(text, shared_beginning(opened, text), len(text))


def _apply(tokenizer: Any, turns: Conversation, open_answer: bool) -> str:
    from jinja2 import TemplateError

    try:
        try:
            return str(_template(tokenizer, turns, open_answer))
        except TemplateError:
            simpler = _simpler(turns)
            if simpler == turns:
                raise
            return str(_template(tokenizer, simpler, open_answer))
    except (TemplateError, ValueError) as error:
        roles = ", ".join(turn.role for turn in turns)
        raise InvalidInputError(
            f"the chat template of the tokenizer does not take a dialogue of the turns {roles} ({error}): "
            "use the template 'plain'"
        ) from error


def _simpler(turns: Conversation) -> Conversation:
    """For templates that have no place for a system prompt or a tool's output.

    A system prompt opens the first message then, and what a tool put out is told to the model by the user.
    """
    said: list[Turn] = []
    for role, content in turns:
        speaker = "assistant" if role == "assistant" else "user"
        if said and said[-1].role == speaker:
            said[-1] = Turn(speaker, said[-1].content + JOIN + content)
        else:
            said.append(Turn(speaker, content))
    return tuple(said)


def _template(tokenizer: Any, turns: Conversation, open_answer: bool) -> Any:
    return tokenizer.apply_chat_template(as_messages(turns), tokenize=False, add_generation_prompt=open_answer)
