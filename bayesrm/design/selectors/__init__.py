"""Selectors, one a file: how a batch is chosen for a criterion.

A new selector is a new file here with a :class:`~bayesrm.design.base.Selector` that has a ``name``.

A selector with settings is made here and given to ``select``, as ``selector``.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from bayesrm.design import SELECTORS

    return SELECTORS.exported(name)
