"""Data sets of the ecosystem, one form a file: recognised by their columns, read row by row."""

from __future__ import annotations

from bayesrm.data.formats.base import Format
from bayesrm.registry import Registry

FORMATS: Registry[Format] = Registry(__name__, Format, "format")

__all__ = ["FORMATS", "Format"]
