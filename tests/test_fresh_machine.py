"""The home folder changes nothing: the first import of arviz on a day, by tests and by the product."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from bayesrm.utils.checkout import QUICKSTART, STUDIES

ROOT = Path(__file__).parents[1]


@pytest.fixture
def on_a_fresh_machine(tmp_path):
    """Run Python in the checkout with an empty home folder; returns what it printed."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment |= {
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.skipif(not version("arviz").startswith("0.23"), reason="only arviz 0.23 announces the next one")
def test_arviz_does_announce_the_next_one_there(on_a_fresh_machine):
    assert "major refactor" in on_a_fresh_machine("-c", "import arviz")


def test_the_product_does_not_show_what_arviz_announces(on_a_fresh_machine):
    code = "import numpy, bayesrm.diagnostics.arviz_lines as lines; print(lines.r_hat(numpy.eye(4, 100)))"
    printed = on_a_fresh_machine("-W", "error", "-c", code)
    assert "refactor" not in printed
    float(printed)


def test_a_cache_that_cannot_be_written_stops_nothing(on_a_fresh_machine, tmp_path):
    """As where two processes write arviz's stamp of the day at once: the import of arviz alone fails there."""
    (tmp_path / "home" / ".cache").mkdir()
    (tmp_path / "home" / ".cache" / "arviz").write_text("in the way")
    code = "from bayesrm.diagnostics.arviz_lines import load_arviz; print(load_arviz().__version__)"
    assert on_a_fresh_machine("-c", code).strip() == version("arviz")


def test_tests_that_use_arviz_are_collected(on_a_fresh_machine):
    printed = on_a_fresh_machine(
        "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", "tests/inference/test_nuts.py"
    )
    assert "test_nuts.py: " in printed or "test_nuts.py::" in printed


def test_a_checkout_has_its_data_and_studies_where_the_package_looks_for_them():
    assert (QUICKSTART / "pool").is_dir()
    assert list(STUDIES.glob("*.toml"))
