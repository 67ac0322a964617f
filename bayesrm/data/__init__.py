"""Pools and golden rewards on disk. Nothing is ever unpickled, and embeddings stay on disk until used."""

from __future__ import annotations

from bayesrm.data.directory import save_pool
from bayesrm.data.load import load_golden, load_pool

__all__ = ["load_golden", "load_pool", "save_pool"]
