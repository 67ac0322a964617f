"""How far to trust a posterior: a check a file, :func:`diagnose`, which makes those that apply; :func:`compare`."""

from __future__ import annotations

from bayesrm.diagnostics.diagnosis import Diagnosis, diagnose
from bayesrm.diagnostics.model_comparison import compare

__all__ = ["Diagnosis", "compare", "diagnose"]
