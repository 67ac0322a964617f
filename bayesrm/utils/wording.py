"""Numbers in sentences."""

from __future__ import annotations

import operator
from typing import SupportsIndex


def counted(number: SupportsIndex, noun: str, plural: str | None = None) -> str:
    """A number and what it counts: "1 question", "12,345 questions".

    Parameters
    ----------
    number
        How many.
    noun
        Of one of them.
    plural
        Of several; None adds an "s" to the noun.

    Examples
    --------
    >>> counted(1, "question"), counted(12345, "question"), counted(0, "reply", "replies")
    ('1 question', '12,345 questions', '0 replies')
    """
    return f"{operator.index(number):,} {one_or_many(number, noun, f'{noun}s' if plural is None else plural)}"


def one_or_many(number: SupportsIndex, one: str, many: str) -> str:
    """The word that agrees with a number, such as "is" or "are".

    Examples
    --------
    >>> one_or_many(1, "is", "are"), one_or_many(2, "is", "are")
    ('is', 'are')
    """
    return one if operator.index(number) == 1 else many
