"""Files that carry questions to annotators and answers back, one format a module.

A new format is a new file here with a :class:`~bayesrm.campaign.handoff.base.HandOff` that has a ``name``.
"""

from __future__ import annotations

from typing import Any

from bayesrm.campaign.handoff.base import HandOff
from bayesrm.registry import Registry


class HandOffs(Registry[HandOff]):
    """The formats, listed with what to do with their files."""

    def lines(self) -> dict[str, str]:
        """What there is: name → the first line of the docstring, and what to do next."""
        steps = {name: part.next_step.format(directory="DIRECTORY") for name, part in self.items()}
        return {name: f"{line}\n{steps[name]}" for name, line in super().lines().items()}


HANDOFFS: Registry[HandOff] = HandOffs(__name__, HandOff, "format")


def __getattr__(name: str) -> Any:
    return HANDOFFS.exported(name)
