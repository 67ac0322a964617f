"""Files that carry questions to annotators and answers back, one format a module.

A new format is a new file here with a :class:`~bayesrm.campaign.handoff.base.HandOff` that has a ``name``.
"""

from __future__ import annotations

from typing import Any

from bayesrm.campaign.handoff.base import HandOff
from bayesrm.registry import Registry

HANDOFFS: Registry[HandOff] = Registry(__name__, HandOff, "format")


def __getattr__(name: str) -> Any:
    return HANDOFFS.exported(name)
