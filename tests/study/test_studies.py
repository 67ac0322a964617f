"""Every study of the folder runs end to end in its tiny setting, and its report says what it should."""

from __future__ import annotations

import re

import pytest

from bayesrm.reports.studies import write_study_report
from bayesrm.runs.cell import load_script
from bayesrm.study import load_study, run_study, studies
from bayesrm.study.output import findings, write_findings

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


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("short_training", "short_variational", "short_sampling")
def test_tiny_study(name, narrow_quickstart, tmp_path, monkeypatch):
    out, study = tmp_path / name, load_study(name, tiny=True)
    own_pools = name == "two_dimensional"
    if own_pools:  # of one prompt, whose pairs are all compared: two million of 2,000 points
        monkeypatch.setattr(load_script(study.script), "TEST_POINTS", 200)
    results = run_study(study, out, None if own_pools else {"quickstart": narrow_quickstart})
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
