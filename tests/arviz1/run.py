"""Write results with this environment, open them with arviz 1.x on a newer Python, where one is installed.

arviz 1.x needs Python ≥ 3.12, this project runs from 3.11 on, so the two lines meet in files only. The newer
Python gets an environment of its own without torch. Without a newer Python this says so and succeeds; where this
environment has arviz 1.x already, it reads its own files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENT = ROOT / ".venv-arviz1"
NEEDS = ("arviz>=1", "xarray", "h5netcdf", "h5py", "matplotlib")


def newer_pythons() -> Iterator[str]:
    """Interpreters that may be ≥ 3.12, the most explicit first."""
    if chosen := os.environ.get("PYTHON_ARVIZ1"):
        yield chosen
    for minor in (12, 13, 14):
        if found := shutil.which(f"python3.{minor}"):
            yield found
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for folder in sorted(versions.glob("3.1[2-9]*")):
        yield str(folder / "bin" / "python")


def works(python: str) -> bool:
    """Whether the interpreter runs and is new enough."""
    check = "import sys; sys.exit(sys.version_info < (3, 12))"
    return subprocess.run([python, "-c", check], capture_output=True).returncode == 0


def main() -> int:
    """Write, then read."""
    reader = sys.executable
    if sys.version_info < (3, 12):
        python = next(filter(works, newer_pythons()), None)
        if python is None:
            print("No Python ≥ 3.12 on this machine: the check with arviz 1.x is skipped (set PYTHON_ARVIZ1).")
            return 0
        reader = str(ENVIRONMENT / "bin" / "python")
        if not Path(reader).exists():
            subprocess.run([python, "-m", "venv", ENVIRONMENT], check=True)
        pip = [reader, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", *NEEDS]
        subprocess.run(pip, check=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, HERE / "write.py", folder], check=True)
        return subprocess.run([reader, HERE / "read.py", folder]).returncode


if __name__ == "__main__":
    sys.exit(main())
