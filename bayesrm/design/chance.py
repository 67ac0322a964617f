"""What is said of designs that choose by chance: a name does not hide it."""

from __future__ import annotations

from collections.abc import Iterable

from bayesrm.design import CRITERIA, RECOMMENDED_DESIGN


def chance_sentence(names: Iterable[str]) -> str:
    """That the default chose at random and why, where it is among these designs and does; else nothing."""
    default = RECOMMENDED_DESIGN
    if default not in set(names) or not CRITERIA[default].at_random:
        return ""
    return (
        f"Pairs of {default}, the default, are chosen at random: no design measured so far is shown to be better than "
        "that without being clearly worse on some pool."
    )
