r"""Covariates that a text has on its surface: length and form, which no embedding has to find out first.

Each is a function of the response and its prompt, named as in :data:`SURFACE`. Counts are on the scale log(1 + count),
so that a text a hundred times as long as another is a few units away and not a hundred; all are clipped to finite
ranges, and every string has them: an empty one, one without spaces, one of emoji.

A new covariate is a function here with the decorator. Annotators like long and ordered answers whatever these say
(Singhal et al. 2023, arXiv:2310.03716; Dubois et al. 2024, arXiv:2404.04475), so what a reward model learns beyond them
is worth knowing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesrm.data.conversation import as_conversation
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool

MOST_LOG = 16.0
"""Of log(1 + count): nine million characters."""

Surface = Callable[[str, str], float]
"""From a prompt and a response to a number."""

SURFACE: dict[str, Surface] = {}
"""The covariates of a text by name, in the order in which they are kept."""
LENGTHS = ("log_characters", "log_words", "lines")
"""Those that say how long a text is: what ``without=("length",)`` holds fixed."""

JUDGE = "judge"
"""The covariate that is the score of a reward model."""

_WORD = re.compile(r"\w+")
_LIST_ITEM = re.compile(r"^[ \t]*(?:[-*+•–]|\(?(?:\d{1,3}|[A-Za-z])[.)])[ \t]+\S", re.MULTILINE)
_CODE_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


def _surface(function: Surface) -> Surface:
    SURFACE[function.__name__] = function
    return function


@_surface
def log_characters(prompt: str, response: str) -> float:
    """log(1 + characters of the response), blanks at its ends not counted."""
    return _log(len(response.strip()))


@_surface
def log_words(prompt: str, response: str) -> float:
    """log(1 + words): runs of letters, digits and underscores."""
    return _log(sum(1 for _ in _WORD.finditer(response)))


@_surface
def lines(prompt: str, response: str) -> float:
    """log(1 + lines that are not blank)."""
    return _log(sum(1 for line in response.splitlines() if line.strip()))


@_surface
def list_items(prompt: str, response: str) -> float:
    """log(1 + lines that begin like an item of a list): a bullet, a number or a letter with a dot or bracket."""
    return _log(sum(1 for _ in _LIST_ITEM.finditer(response)))


@_surface
def code_blocks(prompt: str, response: str) -> float:
    """log(1 + fenced blocks of code); one that is opened and not closed counts."""
    return _log((sum(1 for _ in _CODE_FENCE.finditer(response)) + 1) // 2)


@_surface
def prompt_overlap(prompt: str, response: str) -> float:
    """Share of the different words of the prompt that the response has too, between 0 and 1; 0 without words."""
    asked = {word.lower() for word in _WORD.findall(prompt)}
    if not asked:
        return 0.0
    return len(asked & {word.lower() for word in _WORD.findall(response)}) / len(asked)


@_surface
def repetition(prompt: str, response: str) -> float:
    """Share of the words of the response that it had before, between 0 and 1; 0 without words."""
    words = [word.lower() for word in _WORD.findall(response)]
    return 1 - len(set(words)) / len(words) if words else 0.0


@_surface
def word_length(prompt: str, response: str) -> float:
    """Mean characters of a word, clipped at 20; 0 without words."""
    words = _WORD.findall(response)
    return min(sum(map(len, words)) / len(words), 20.0) if words else 0.0


@_surface
def questions(prompt: str, response: str) -> float:
    """log(1 + question marks)."""
    return _log(sum(response.count(mark) for mark in "?？؟"))


def surface_covariates(
    prompts: Sequence[Any], responses: Sequence[str], names: Sequence[str] | None = None
) -> dict[str, Float[np.ndarray, "response"]]:
    """Covariates of texts, one number a response each.

    Parameters
    ----------
    prompts
        What each response answers: a text, or a list of messages with role and content, all of which count.
    responses
        (response,) texts.
    names
        Which of :data:`SURFACE`; default all.

    Raises
    ------
    InvalidInputError
        For a name that there is not, or another number of prompts than of responses.

    Examples
    --------
    >>> made = surface_covariates(["Name a colour."], ["The colour red."])
    >>> round(float(made["log_characters"][0]), 3), float(made["prompt_overlap"][0])
    (2.773, 0.3333333333333333)
    """
    wanted = tuple(SURFACE) if names is None else tuple(names)
    unknown = [name for name in wanted if name not in SURFACE]
    if unknown:
        raise InvalidInputError(f"unknown covariate {unknown[0]!r} of texts: there are {', '.join(SURFACE)}")
    if len(prompts) != len(responses):
        raise InvalidInputError(
            f"expected a prompt for each of the {len(responses)} responses, got {len(prompts)}"
        )
    made = {name: np.empty(len(responses)) for name in wanted}
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        asked = prompt if isinstance(prompt, str) else "\n".join(turn.content for turn in as_conversation(prompt))
        for name in wanted:
            made[name][row] = SURFACE[name](asked, response)
    return made


def surface_of(pool: ResponsePool, name: str) -> Float[np.ndarray, "response"] | None:
    """A covariate of the pool; a length also from its texts, which needs no prompts; None without either.

    Lengths are counted once for a pool: every evaluation of a run asks for them.
    """
    if name in pool.covariates:
        return pool.covariates[name]
    if pool.texts is None or name not in LENGTHS:
        return None
    counted = vars(pool).setdefault("_counted", {})  # as a cached property of the pool keeps its value
    if name not in counted:
        counted[name] = surface_covariates([""] * len(pool), pool.texts, [name])[name]
        counted[name].flags.writeable = False
    return counted[name]


def _log(count: int) -> float:
    return min(math.log1p(count), MOST_LOG)
