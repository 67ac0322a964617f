"""Versions of what a result stands on."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("bayesrm", "torch", "pyro-ppl", "numpy", "xarray", "arviz", "h5netcdf")


@cache
def versions() -> dict[str, str]:
    """Installed versions by package name; "unknown" where a package is not installed as such."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
