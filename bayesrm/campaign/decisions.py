"""Decisions about answers, people and batches: each keeps who made it and why, and names only what the campaign has."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bayesrm.errors import InvalidInputError

OWNER = "owner"
"""Who decides about a campaign, where no other name is given."""
NOT_SAID = "not said"
"""The reason of a decision for which none is given."""


def said(by: str, reason: str) -> tuple[str, str]:
    """The name of who decides and the reason, as the store keeps them."""
    return by.strip() or OWNER, reason.strip() or NOT_SAID


def require_there(what: str, named: Iterable[object], there: Collection[object]) -> None:
    """InvalidInputError where a campaign does not have a batch or a question."""
    for each in named:
        if each not in there:
            some = ", ".join(str(one) for one in sorted(there, key=str)[:5]) or "none"
            raise InvalidInputError(
                f"this campaign has no {what} {str(each)[:60]}: it has {some}" + ", …" * (len(there) > 5)
            )
