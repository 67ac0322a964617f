"""Data sets of the ecosystem, one form a file: recognised by their columns, read row by row."""

from __future__ import annotations

from typing import Any

from bayesrm.data.formats.base import Format
from bayesrm.registry import Registry


class Formats(Registry[Format]):
    """The forms, listed with the columns that they are known by."""

    def lines(self) -> dict[str, str]:
        """What there is: name → the first line of the docstring, and the columns."""
        return {name: f"{line}\n{self[name].columns}" for name, line in super().lines().items()}


FORMATS: Registry[Format] = Formats(__name__, Format, "format")

__all__ = ["FORMATS", "Format"]


def __getattr__(name: str) -> Any:
    return FORMATS.exported(name)
