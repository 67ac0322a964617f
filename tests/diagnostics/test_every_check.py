"""The contract of every diagnostic check: found by its name, and tested here by nothing more than being there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

import bayesrm as brm
from bayesrm.diagnostics.checks import CHECKS, Subject
from bayesrm.diagnostics.finding import ORDER, Finding
from bayesrm.diagnostics.history import own_history
from bayesrm.diagnostics.sbc import simulate_calibration
from bayesrm.inference.laplace import refit
from bayesrm.plots.diagnosis import draw
from bayesrm.plots.runs import svg
from bayesrm.reports.diagnosis import write_page
from bayesrm.runs.results import open_results, write_results

every = pytest.mark.parametrize("name", list(CHECKS))


def _chains(draws: int) -> xr.DataTree:
    values = np.random.default_rng(0).standard_normal((2, draws, 3))
    return xr.DataTree.from_dict({"posterior": xr.Dataset({"beta": (("chain", "draw", "feature"), values)})})


@pytest.fixture(scope="module")
def subjects(world) -> dict[str, Subject]:
    """Everything that a check can be given, and as little as it can be given."""
    model = brm.RewardModel(world.pool.dim, "layers", prior_scale=0.5)
    laplace = brm.fit(model, world.pool, world.preferences)
    point = brm.fit(model, world.pool, world.preferences, "plugin")
    prior = brm.fit(model, world.pool, brm.Preferences.none())
    members = brm.fit(brm.RewardModel(world.pool.dim, "linear"), world.pool, world.preferences, "ensemble")
    simulated = simulate_calibration(model, world.pool, world.preferences, "laplace", 20, seed=1)
    tree = laplace.to_datatree(500, seed=0)
    test = (world.pool, world.golden)
    names = np.resize(["ann", "bob", "cem"], len(world.preferences))
    crowd = refit(laplace, dataclasses.replace(world.preferences, annotator=names))
    history = own_history(laplace, folds=3)
    return {
        "everything": Subject(
            tree, crowd, test, 1.0, world.preferences, laplace.to_datatree(500, 1), simulated, history
        ),
        "answers": Subject(tree, laplace, held_out=world.preferences),
        "tree": Subject(tree),
        "chains": Subject(_chains(200)),
        "few draws": Subject(_chains(4)),
        "point": Subject(point.to_datatree(), point, test),
        "no labels": Subject(prior.to_datatree(200), prior, test),
        "ensemble": Subject(members.to_datatree(), members, test),
    }


@every
def test_it_has_words_for_a_report(name):
    part = CHECKS[name]
    assert CHECKS.lines()[name]
    assert part.title
    assert part.caption.endswith(".")
    assert name.isidentifier(), "it is the name of a group in a file"


@every
@pytest.mark.parametrize(
    "given", ["everything", "answers", "tree", "chains", "few draws", "point", "no labels", "ensemble"]
)
def test_it_has_a_verdict_with_its_numbers_or_says_nothing(name, given, subjects, tmp_path):
    found = CHECKS[name]().run(subjects[given])
    if found is None:
        assert given != "everything"
        return
    assert isinstance(found, Finding)
    assert found.check == name
    assert found.status in ORDER
    assert found.sentence.endswith(".")
    assert "nan" not in found.sentence.lower().split()
    assert (found.data is None) == (found.status == "skipped")
    again = CHECKS[name]().run(subjects[given])
    assert again.sentence == found.sentence
    if found.data is not None:
        assert found.data.identical(again.data)
        tree = xr.DataTree.from_dict({name: found.data})
        write_results(tree, tmp_path / "found.nc")
        with open_results(tmp_path / "found.nc") as kept:
            assert set(kept[name].data_vars) == set(found.data.data_vars)
        figure = draw(name, found.data)
        if type(CHECKS[name]()).draw is not CHECKS.base.draw:
            assert svg(figure).startswith("<svg")
            assert any(axis.has_data() for axis in figure.axes)


def test_a_new_check_is_made_and_shown(world, laplace, monkeypatch, tmp_path):
    class Counted(CHECKS.base):
        """How many labels there are."""

        name = "counted"
        title = "Labels counted"
        caption = "No figure."

        def run(self, subject):
            data = xr.Dataset({"labels": len(subject.posterior.preferences)})
            return Finding("counted", "bad", f"There are {int(data['labels'])} labels.", data)

    monkeypatch.setattr("bayesrm.utils.plugins._added", [Counted])
    diagnosis = brm.diagnose(laplace)
    assert diagnosis.findings[0].sentence == f"There are {len(world.preferences)} labels."
    assert "counted" in diagnosis.tree.children
    write_page(diagnosis, tmp_path / "page.html", "a run", {})
    assert "Labels counted" in (tmp_path / "page.html").read_text()
