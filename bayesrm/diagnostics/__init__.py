"""How far to trust a posterior: one check a file, and :func:`diagnose`, which makes those that apply."""

from __future__ import annotations

from bayesrm.diagnostics.diagnosis import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
