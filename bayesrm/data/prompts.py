"""Which columns of a source the prompt stands in.

Data sets call it by several names. One that has two of them could mean either, and is refused, except for pairs that
belong together: an instruction with its input, and a system prompt with anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayesrm.data.conversation import Conversation, Turn, as_conversation, require_text
from bayesrm.data.values import has_no_text
from bayesrm.errors import InvalidInputError

PROMPT = "prompt"
NAMES = ("instruction", "question", "query", "input", "prompt_text", "conversations", "conversation")
"""What a prompt is called where there is no column ``prompt``."""
SYSTEM = ("system", "system_prompt")
_TOGETHER = ("instruction", "input")
JOIN = "\n\n"


@dataclass(frozen=True)
class PromptColumns:
    """Where the prompt stands.

    Parameters
    ----------
    parts
        One column; or an instruction and its input, which are joined.
    system
        The column of the system prompt; None where there is none.
    """

    parts: tuple[str, ...]
    system: str | None = None

    def __str__(self) -> str:
        joined = " and ".join(self.parts)
        return f"{joined}, after the system prompt in {self.system}" if self.system else joined

    @property
    def columns(self) -> frozenset[str]:
        """All that are read."""
        return frozenset(self.parts) | ({self.system} if self.system else frozenset())

    def read(self, row: Mapping[str, Any]) -> Conversation:
        """The prompt of a row.

        Raises
        ------
        InvalidInputError
            Where there is none, or it is neither a text nor a list of messages.
        """
        name = " and ".join(self.parts)
        given = [value for part in self.parts if not has_no_text(value := row.get(part))]
        if not given:
            # What is said of a missing prompt is said of the first of its columns.
            prompt = as_conversation(row.get(self.parts[0]), self.parts[0])
        elif len(given) == 1:
            prompt = as_conversation(given[0], name)
        else:
            prompt = (Turn("user", JOIN.join(require_text(value, name) for value in given)),)
        system = row.get(self.system) if self.system else None
        if has_no_text(system) or any(turn.role == "system" for turn in prompt):
            return prompt
        return (Turn("system", require_text(system, self.system or "")), *prompt)


def find_prompt(columns: frozenset[str], sample: Sequence[Mapping[str, Any]], source: str) -> PromptColumns | None:
    """Where the prompt stands in rows of these columns; None where no column has a known name.

    Raises
    ------
    InvalidInputError
        Where it could be in several.
    """
    system = next((name for name in SYSTEM if _is_filled(name, columns, sample)), None)
    if PROMPT in columns:
        return PromptColumns((PROMPT,), system)
    named = [name for name in NAMES if name in columns]
    filled = [name for name in named if _is_filled(name, columns, sample)] or named[:1]
    if not filled:
        return None
    if set(filled) <= set(_TOGETHER) <= columns:
        return PromptColumns(_TOGETHER, system)
    if len(filled) > 1:
        raise InvalidInputError(
            f"the prompt of {source} could be in {' or '.join(filled)}: say --prompt-column {filled[0]}, or another"
        )
    return PromptColumns(tuple(filled), system)


def _is_filled(name: str, columns: frozenset[str], sample: Sequence[Mapping[str, Any]]) -> bool:
    return name in columns and any(not has_no_text(row.get(name)) for row in sample)
