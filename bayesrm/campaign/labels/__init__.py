"""Labels of a campaign as data for others, one format a file."""

from __future__ import annotations

from bayesrm.campaign.labels.base import LabelFormat
from bayesrm.registry import Registry

LABEL_FORMATS: Registry[LabelFormat] = Registry(__name__, LabelFormat, "format of labels")

__all__ = ["LABEL_FORMATS", "LabelFormat"]
