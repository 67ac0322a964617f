"""Diagnostic checks, one a file: what is looked at, how it is said and how it is drawn.

A new check is a new file here with a :class:`~bayesrm.diagnostics.checks.base.Check` that has a ``name``; ``diagnose``
makes it, reports show it.
"""

from __future__ import annotations

from typing import Any

from bayesrm.diagnostics.checks.base import Check, Subject
from bayesrm.registry import Registry

CHECKS: Registry[Check] = Registry(__name__, Check, "check")

__all__ = ["CHECKS", "Check", "Subject"]


def __getattr__(name: str) -> Any:
    return CHECKS.exported(name)
