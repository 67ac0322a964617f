"""Every study of the folder runs end to end in its tiny setting, and its report says what it should."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.reports.studies import write_study_report
from bayesrm.study import load_study, run_study, studies
from bayesrm.study.output import findings, write_findings

QUICKSTART = Path(__file__).resolve().parents[2] / "data/quickstart"
NAMES = sorted(studies())
ASKED = {
    "annotation_efficiency", "annotator_noise", "batch_size", "bayes_vs_plugin", "candidate_number",
    "candidates_or_optimiser", "cross_prompt", "hidden_units", "posterior_fidelity", "two_dimensional",
}  # fmt: skip


def test_the_studies_are_there():
    assert set(NAMES) >= ASKED


@pytest.mark.parametrize("name", NAMES)
def test_full_setting_is_valid(name, tmp_path):
    study = load_study(name)
    pools = {"quickstart": (tmp_path / "pool", tmp_path / "test")}
    cells = study.cells(tmp_path, pools)
    assert len({cell.folder for cell in cells}) == len(cells)
    assert len(study.grid["seed"]) >= 3


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """The quickstart's pools with 24 of 384 dimensions: a fit takes a tenth of the time."""
    folder = tmp_path_factory.mktemp("narrow")
    for part in ("pool", "test"):
        pool, golden = brm.load_pool(QUICKSTART / part), brm.load_golden(QUICKSTART / part)
        rows = pool.rows(np.arange(len(pool)))[:, :24]
        brm.save_pool(folder / part, brm.ResponsePool(rows, pool.prompt, pool.texts), golden)
    return folder / "pool", folder / "test"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("short_training", "short_variational", "short_sampling")
def test_tiny_study(name, narrow, tmp_path):
    out = tmp_path / name
    own_pools = name == "two_dimensional"
    results = run_study(load_study(name, tiny=True), out, None if own_pools else {"quickstart": narrow})
    assert results.failures == {}
    found = findings(results)
    assert re.search(r"\d", found.answer)
    assert not re.search(r"\bnan\b", found.answer)
    assert found.figures
    assert found.tables
    assert all(path.stat().st_size > 0 for path in write_findings(results, found))
    page = write_study_report(results, found).read_text(encoding="utf-8")
    assert results.study.title.replace("'", "&#39;") in page
    assert page.count("<svg") == len(found.figures)
    assert page.count("<table>") == len(found.tables)
    assert "A tiny run" in page
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
