"""Annotators, one a file: who or what answers comparisons.

A new annotator is a new file here with an :class:`~bayesrm.annotators.base.Annotator` that has a ``name``.
"""

from __future__ import annotations

from typing import Any

from bayesrm.annotators.base import Annotator
from bayesrm.registry import Registry

ANNOTATORS: Registry[Annotator] = Registry(
    __name__, Annotator, "annotator", always_given=("golden", "votes", "reward_model", "prompts", "responses")
)
RECOMMENDED_ANNOTATOR = "golden"
"""Who answers in a simulated run where nobody is asked for."""

__all__ = ["ANNOTATORS", "RECOMMENDED_ANNOTATOR", "Annotator"]


def __getattr__(name: str) -> Any:
    return ANNOTATORS.exported(name)
