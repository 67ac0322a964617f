"""Texts as tokens that fit a model's window, without ever losing the response.

Too long a text loses the middle of its prompt first, because a task stands at its beginning and a question at its
end; only a response that alone does not fit is itself cut, at its end. Special tokens at both ends are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from bayesrm.data.conversation import Conversation
from bayesrm.embedding.rendering import Rendered, render
from bayesrm.errors import InvalidInputError

TEXTS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token numbers of many texts, one after the other.

    Parameters
    ----------
    ids
        Of all texts.
    starts
        (text + 1,) where each begins in ``ids``, and the end.
    split
        (text,) tokens of each before its response; told for pairs, else 0.
    cut_prompts, cut_responses
        How many texts lost a part of their prompt, and how many also of their response.
    """

    ids: Int32[np.ndarray, "token"]
    starts: Int64[np.ndarray, "text_and_end"]
    split: Int64[np.ndarray, "text"]
    cut_prompts: int
    cut_responses: int

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, text: int) -> Int32[np.ndarray, "own_token"]:
        return self.ids[self.starts[text] : self.starts[text + 1]]

    @property
    def lengths(self) -> Int64[np.ndarray, "text"]:
        """(text,) tokens of each."""
        return np.diff(self.starts)

    def digest(self) -> str:
        """Of everything that a model reads."""
        total = hashlib.sha256()
        for part in (self.ids, self.starts, self.split):
            total.update(np.ascontiguousarray(part).data)
        return total.hexdigest()


def tokenise(
    tokenizer: Any, template: str, window: int, prompts: Sequence[Conversation], responses: Sequence[str]
) -> Tokens:
    """Tokens of each prompt with its response, at most ``window`` a text.

    Raises
    ------
    InvalidInputError
        Where the window has no room for a single token of a response, or the template refuses a prompt.
    """
    ids: list[Int32[np.ndarray, "_"]] = []
    split: list[int] = []
    cut_prompts = cut_responses = 0
    for begin in range(0, len(responses), TEXTS_AT_ONCE):
        block = slice(begin, begin + TEXTS_AT_ONCE)
        rendered = [
            render(tokenizer, template, prompt, response)
            for prompt, response in zip(prompts[block], responses[block], strict=True)
        ]
        for text, encoding in zip(rendered, _encode(tokenizer, template, rendered), strict=True):
            own = np.array(encoding.ids, dtype=np.int32)
            start = 0
            if template == "pair" or len(own) > window:
                lead, start, end = _parts(text, encoding, tokenizer)
            if len(own) > window:
                keep = fitting(len(own), lead, start, end, window)
                cut_prompts += 1
                cut_responses += int((keep >= start).sum() < len(own) - start)
                start = int((keep < start).sum()) if template == "pair" else 0
                own = own[keep]
            ids.append(own)
            split.append(start)
    starts = np.concatenate([[0], np.cumsum([len(own) for own in ids])]).astype(np.int64)
    flat = np.concatenate(ids) if ids else np.empty(0, np.int32)
    return Tokens(flat, starts, np.array(split, dtype=np.int64), cut_prompts, cut_responses)


def fitting(length: int, lead: int, start: int, end: int, window: int) -> Int64[np.ndarray, "kept"]:
    """Positions that are kept of a text: special ``[:lead]``, its prompt, the response ``[start:end]``, and the tail.

    Raises
    ------
    InvalidInputError
        Where not one token of the response fits.
    """
    room = window - lead - (length - end)
    if room < 1:
        raise InvalidInputError(
            f"expected a window with room for a response, got {window} tokens, of which {window - room} are "
            "special: raise max tokens"
        )
    answer = min(end - start, room)
    before = room - answer
    beginning = min((before + 1) // 2, start - lead)
    closing = min(before - beginning, start - lead - beginning)
    return np.concatenate(
        [
            np.arange(lead + beginning),
            np.arange(start - closing, start + answer),
            np.arange(end, length),
        ]
    )


def _encode(tokenizer: Any, template: str, rendered: Sequence[Rendered]) -> Iterable[Any]:
    """The Rust encodings, whose parts become Python objects only when asked for."""
    second = [text.second for text in rendered] if template == "pair" else None
    return tokenizer(
        [text.text for text in rendered],
        second,
        add_special_tokens=template != "chat",  # a chat template writes them itself
        truncation=False,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    ).encodings


def _parts(text: Rendered, encoding: Any, tokenizer: Any) -> tuple[int, int, int]:
    """How many special tokens lead, and the tokens at which the response begins and is over."""
    special = encoding.special_tokens_mask
    count = len(special)
    lead = next((at for at in range(count) if not special[at]), count)
    if lead == 0 and count and encoding.ids[0] == tokenizer.bos_token_id:
        lead = 1
    end = next((at for at in range(count, 0, -1) if not special[at - 1]), count)
    sequence = 0 if text.second is None else 1
    said = text.text if text.second is None else text.second
    start = _token_at(encoding, range(text.start, text.end), sequence)
    if start is None:  # nothing of the response is a token: all that there is counts as response
        return lead, lead, max(end, lead)
    after = _token_at(encoding, range(text.end, len(said)), sequence)
    return min(lead, start), start, max(end if after is None else min(after, end), start + 1)


def _token_at(encoding: Any, characters: range, sequence: int) -> int | None:
    """The first token of some characters: blanks may be part of none."""
    for character in characters:
        token: int | None = encoding.char_to_token(character, sequence)
        if token is not None:
            return token
    return None
