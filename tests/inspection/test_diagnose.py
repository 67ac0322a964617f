"""Diagnoses as a whole: of posteriors, of runs in their folders, the page, the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr

import bayesrm as brm
from bayesrm.diagnostics.checks import CHECKS
from bayesrm.diagnostics.convergence import convergence
from bayesrm.diagnostics.reliability import reliability, reliability_verdict
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.diagnose import diagnose_run, model_of_run
from bayesrm.models.likelihoods.flips import Flips
from bayesrm.plots.diagnosis import draw
from bayesrm.reports.diagnosis import write_page
from bayesrm.runs.results import open_results, write_results

OF_OTHERS = {"annotators", "history", "linearity"}
"""Checks that need named annotators, the order in which answers came, or an encoder of layers."""


@pytest.fixture(scope="module")
def diagnosis(world):
    posterior = brm.fit(brm.RewardModel(world.pool.dim, "linear", prior_scale=0.5), world.pool, world.preferences)
    return brm.diagnose(
        posterior,
        test=(world.pool, world.golden),
        reference=posterior.to_datatree(4000, seed=1),
        inference="laplace",
        sbc=30,
        draws=500,
    )


def test_diagnose_says_the_worst_first_and_keeps_its_numbers(diagnosis, tmp_path):
    statuses = [finding.status for finding in diagnosis.findings]
    assert statuses == sorted(statuses, key=("bad", "note", "good", "skipped").index)
    checks = {finding.check for finding in diagnosis.findings}
    assert checks == set(CHECKS) - OF_OTHERS
    assert repr(diagnosis).startswith("Diagnosis of the Laplace posterior: ")
    assert len(repr(diagnosis).splitlines()) == 1 + len(diagnosis.verdicts)
    write_results(diagnosis.tree, tmp_path / "diagnosis.nc")
    with open_results(tmp_path / "diagnosis.nc") as tree:
        assert set(tree.children) == checks - {"convergence", "length"} | {"prior_sbc"}
        assert tree["pareto_k"].attrs["verdict"] in diagnosis.verdicts
        assert [line[2] for line in json.loads(tree.attrs["verdicts"])] == diagnosis.verdicts


def test_diagnose_is_the_same_twice(laplace):
    one, two = brm.diagnose(laplace, seed=3), brm.diagnose(laplace, seed=3)
    assert one.verdicts == two.verdicts
    assert one.tree["sensitivity"].equals(two.tree["sensitivity"])


def test_the_page_needs_nothing_beside_it_and_starts_with_the_verdict(diagnosis, tmp_path):
    page = tmp_path / "page.html"
    write_page(diagnosis, page, "A <run>", {"seed": 0, "model": {"encoder": "linear"}})
    text = page.read_text()
    assert "A &lt;run&gt;" in text
    assert not re.search(r"""(src|href)=["']https?:""", text)
    figures = sum(finding.data is not None for finding in diagnosis.findings)
    assert text.count("<svg") == figures
    assert 0 < text.index('class="verdict') < text.index("<svg")


def test_bins_without_pairs_are_dashes(diagnosis, tmp_path):
    data = reliability(np.full(40, 0.6), np.arange(40) % 2.0, np.arange(40))
    assert data["predicted"].isnull().any()
    finding = reliability_verdict(data, "pairs")
    write_page(replace(diagnosis, findings=(finding,)), tmp_path / "page.html", "One check", {})
    shown = re.sub(r"<svg.*?</svg>|<[^>]+>", " ", (tmp_path / "page.html").read_text(), flags=re.DOTALL)
    assert "–" in shown
    assert not re.search(r"\b(nan|inf)\b", shown)


def test_every_figure_is_drawn(diagnosis):
    for finding in diagnosis.findings:
        if finding.data is not None:
            assert draw(finding.check, finding.data) is not None
    chains = np.random.default_rng(15).standard_normal((2, 100, 3))
    posterior = xr.Dataset({"beta": (("chain", "draw", "feature"), chains)})
    assert draw("convergence", convergence(xr.DataTree.from_dict({"posterior": posterior})).data) is not None


def test_a_point_and_no_labels_are_diagnosed_in_words(world, plugin):
    point = brm.diagnose(plugin, test=(world.pool, world.golden))
    assert {finding.check: finding.status for finding in point.findings}["pareto_k"] == "skipped"
    assert "it is one point" in repr(point)
    nothing = brm.fit(brm.RewardModel(6, "linear", prior_scale=1.0), world.pool, brm.Preferences.none())
    findings = {finding.check: finding for finding in brm.diagnose(nothing).findings}
    assert findings["pareto_k"].status == "good"
    assert "says more than the labels of 6 of 6" in findings["sensitivity"].sentence


def test_held_out_answers(world, laplace):
    found = brm.diagnose(laplace, held_out=world.preferences)
    assert found.tree["reliability"].attrs["pairs"] == len(world.preferences)
    assert float(found.tree["reliability"]["ece_by_chance"]) > 0


def test_diagnose_refuses_what_does_not_fit(world, laplace):
    tree = laplace.to_datatree(100)
    with pytest.raises(InvalidInputError, match="and got only its tree"):
        brm.diagnose(tree, test=(world.pool, world.golden))
    with pytest.raises(InvalidInputError, match="the inference to simulate with"):
        brm.diagnose(laplace, sbc=5)
    with pytest.raises(InvalidInputError, match="held-out preferences, and there are none"):
        brm.diagnose(laplace, held_out=brm.Preferences.none())
    with pytest.raises(InvalidInputError, match="a group posterior"):
        brm.diagnose(xr.DataTree())


# --- runs -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run, beside its pool."""
    folder = tmp_path_factory.mktemp("run")
    generator = np.random.default_rng(16)
    embeddings = generator.standard_normal((60, 5)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(12), 5))
    golden = embeddings @ generator.standard_normal(5)
    brm.save_pool(folder / "pool", pool, golden)
    brm.save_pool(folder / "other", brm.ResponsePool(embeddings[::-1].copy(), pool.prompt), golden)
    brm.save_pool(folder / "narrow", brm.ResponsePool(embeddings[:, :4].copy(), pool.prompt), golden)
    brm.run(
        brm.load_pool(folder / "pool"), brm.GoldenAnnotator(golden, 1.5), model=brm.RewardModel(5, "linear"),
        batch_size=20, rounds=2, out=folder / "run", draws=300, progress=False,
    )  # fmt: skip
    return folder


def test_a_run_is_diagnosed_from_its_folder_alone_and_more_with_its_pool(run):
    alone, page = diagnose_run(run / "run")
    assert page == run / "run" / "diagnosis.html"
    assert {finding.check for finding in alone.findings} == {"pareto_k", "convergence", "sensitivity"}
    full, _ = diagnose_run(run / "run", run / "pool", run / "pool", reference="laplace", sbc=10)
    assert {finding.check for finding in full.findings} == set(CHECKS) - OF_OTHERS
    assert full.name == "Laplace"
    settings = page.read_text()
    assert "temperature" in settings
    with open_results(run / "run" / "diagnosis.nc") as tree:
        assert "prior_sbc" in tree.children


@pytest.mark.parametrize("likelihood", ["bradley-terry", "flips", Flips(0.1), "davidson", "annotators"])
def test_a_model_is_made_again_from_its_description(likelihood):
    described = brm.RewardModel(7, "mlp", (5, 4), likelihood, prior_scale=0.3, prompt_intercept=True).describe()
    pool = brm.ResponsePool(np.ones((2, 7)), [0, 0])
    assert model_of_run(json.loads(json.dumps(described)), pool).describe() == described | {"covariates": []}


def test_a_model_of_blocks_and_covariates_is_made_again():
    pool = brm.ResponsePool(
        np.random.default_rng(0).normal(size=(8, 4)),
        np.repeat([0, 1], 4),
        blocks={"layer-0": slice(0, 2), "layer-1": slice(2, 4)},
        covariates={"judge": np.arange(8.0), "lines": np.arange(8.0) ** 2},
    )
    model = brm.RewardModel(pool, "auto", prior_mean={"judge": 0.3}, covariate_blocks="apart")
    again = model_of_run(json.loads(json.dumps(model.describe())), pool)
    assert again.blocks == model.blocks
    assert again.covariates.prior_mean == {"judge": 0.3}


def own_program(features, first, second, outcome=None):
    weights = pyro.sample("beta", dist.Normal(0.0, 0.5).expand([features.shape[-1]]).to_event(1))
    reward = features @ weights.to(features)
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second]), obs=outcome)


def test_a_model_of_ones_own_is_not_in_its_description():
    program = brm.RewardModel(10, encoder="linear", program=own_program)
    with pytest.raises(InvalidInputError, match="a likelihood of its own"):
        model_of_run(program.describe(), brm.ResponsePool(np.ones((2, 10)), [0, 0]))
    own = brm.RewardModel(10, encoder=torch.nn.Linear(10, 2))
    with pytest.raises(InvalidInputError, match="an encoder of its own"):
        model_of_run(own.describe(), brm.ResponsePool(np.ones((2, 10)), [0, 0]))


def test_another_pool_is_refused(run):
    with pytest.raises(InvalidInputError, match="60 responses of dimension 5, got 60 of dimension 4"):
        diagnose_run(run / "run", run / "narrow")
    with pytest.raises(InvalidInputError, match="is this the pool of the run"):
        diagnose_run(run / "run", run / "other")


def test_the_command(run, command):
    status, printed, _ = command("diagnose", run, "--pool", run / "pool", "--test", run / "pool")
    assert status == 0
    assert "Diagnosis of the Laplace posterior" in printed
    assert "diagnosis.html" in printed
    for message, arguments in {
        "there is no folder": [run / "nowhere"],
        "expected a run in": [run / "pool"],
        "expected --pool": [run / "run", "--sbc", "5"],
        "unknown inference 'exact'": [run / "run", "--pool", run / "pool", "--reference", "exact"],
    }.items():
        status, _, complaint = command("diagnose", *arguments)
        assert status == 2
        assert re.match(rf"bayesrm: {message}.*\n$", complaint), complaint
    status, printed, _ = command("diagnose", "--help")
    assert status == 0
    assert "bayesrm diagnose" in printed
