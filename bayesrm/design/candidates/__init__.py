"""The pairs to choose from: explicit or implicit, with what has been asked, caps and costs."""

from __future__ import annotations

from bayesrm.design.candidates.forming import candidates, require_scope
from bayesrm.design.candidates.sets import CandidateSet

__all__ = ["CandidateSet", "candidates", "require_scope"]
