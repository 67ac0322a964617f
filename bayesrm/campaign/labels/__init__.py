"""Labels of a campaign as data for others, one format a file.

A new format is a new file here with a :class:`~bayesrm.campaign.labels.base.LabelFormat` that has a ``name``.
"""

from __future__ import annotations

from typing import Any

from bayesrm.campaign.labels.base import LabelFormat
from bayesrm.registry import Registry

LABEL_FORMATS: Registry[LabelFormat] = Registry(__name__, LabelFormat, "format of labels")

__all__ = ["LABEL_FORMATS", "LabelFormat"]


def __getattr__(name: str) -> Any:
    return LABEL_FORMATS.exported(name)
