"""What the words of answers mean where they name no side by themselves: numbers, names of models, other languages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from bayesrm.campaign.handoff.base import Broken, ParsedAnswer, Unclear
from bayesrm.campaign.handoff.words import SIDES, is_number, plain
from bayesrm.errors import InvalidInputError

_LISTED = 8


def parse_meanings(text: str) -> dict[str, str]:
    """``1=left,2=right`` as a dictionary; a word may itself have an equals sign.

    Raises
    ------
    InvalidInputError
        Where it is none, or a meaning is no side.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        word, equals, side = part.rpartition("=")
        if not equals or not plain(word) or plain(word) in found or plain(side) not in SIDES:
            raise InvalidInputError(
                f"expected --answers such as 1=left,2=right,0=tie, with left, right, tie or skip after each =, got "
                f"{text[:80]}"
            )
        found[plain(word)] = plain(side)
    return found


def settle(
    parts: Sequence[ParsedAnswer | Broken], meanings: Mapping[str, str], file: str
) -> list[ParsedAnswer | Broken]:
    """The parts of a file, with the sides that somebody said words to mean.

    Parameters
    ----------
    parts
        What stands in the file.
    meanings
        Word → side.
    file
        Its name, for messages.

    Raises
    ------
    InvalidInputError
        Where a meaning is no side; where answers are numbers, or not one of several has a known word, and nobody said
        what they mean.
    """
    sides = {plain(word): side for word, side in meanings.items() if plain(word)}
    wrong = sorted({str(side) for side in sides.values() if side not in SIDES})
    if wrong:
        raise InvalidInputError(f"expected answers to mean {', '.join(SIDES)}, got {', '.join(wrong)}")
    settled = [_settled(part, sides) for part in parts]
    unclear = list(dict.fromkeys(plain(part.answer.words) for part in settled if isinstance(part, Unclear)))
    understood = any(isinstance(part, ParsedAnswer) and part.side is not None for part in settled)
    numbers = [word for word in unclear if is_number(word)]
    if numbers or (len(unclear) > 1 and not understood):
        words = (numbers or unclear)[:_LISTED]
        example = ",".join(
            f"{word[:20]}={side}" for word, side in zip(words, ("left", "right", "tie"), strict=False)
        )
        raise InvalidInputError(
            f"the answers in {file} have {', '.join(word[:20] for word in words)}, and what that means is not known: "
            f"say it, such as --answers {example}"
        )
    return settled


def _settled(part: ParsedAnswer | Broken, sides: Mapping[str, str]) -> ParsedAnswer | Broken:
    answer = part.answer if isinstance(part, Unclear) else part
    if not isinstance(answer, ParsedAnswer) or plain(answer.words) not in sides:
        return part
    if answer.ranking is not None or answer.points:
        return part
    return dataclasses.replace(answer, side=sides[plain(answer.words)])
