"""What lies beside the package in a checkout: data to try it on, and the studies."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = _ROOT / "data" / "quickstart"
STUDIES = _ROOT / "studies"
