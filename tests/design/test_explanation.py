"""Why these pairs: the table against the posterior's own numbers, the projection, and what is needed for it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import bayesrm as brm
from bayesrm import cli
from bayesrm.design.explanation import Explanation
from bayesrm.errors import InvalidInputError
from bayesrm.inspection.explain import explain_run
from bayesrm.plots.runs import batch_projection, save
from bayesrm.runs.journal import read_records


@pytest.fixture(scope="module")
def told(pool) -> brm.ResponsePool:
    """The pool, with texts."""
    return brm.ResponsePool(pool.embeddings, pool.prompt, [f"response\n{k}" for k in range(len(pool))])


@pytest.mark.parametrize("inference", ["laplace", "plugin"])
def test_the_table_says_what_the_posterior_knew(told, preferences, inference):
    posterior = brm.fit(brm.RewardModel(told.dim, "linear"), told, preferences, inference)
    batch = brm.select(posterior, brm.candidates(told, "cross-prompt", size=60), "pa-dopt", 8)
    explanation = batch.explain()
    table = explanation.table
    assert table["first"].tolist() == batch.first.tolist()
    assert table["second"].tolist() == batch.second.tolist()
    assert table["second_prompt"].tolist() == told.prompt[batch.second].tolist()
    assert table["second_text"].tolist() == [told.texts[k] for k in batch.second]
    np.testing.assert_array_equal(table["gain"], batch.gain)
    np.testing.assert_allclose(
        table["probability"], posterior.preference_probability(told, batch.first, batch.second), rtol=1e-12
    )
    mean, variance = (moment.numpy() for moment in posterior.logit_moments(told, batch))
    phi = posterior.features(told).numpy()
    z = phi[batch.first] - phi[batch.second]
    precision = (posterior.information_cholesky @ posterior.information_cholesky.T).numpy()
    np.testing.assert_allclose(
        table["logit_variance"], np.einsum("pi,ij,pj->p", z, np.linalg.inv(precision), z), rtol=1e-6
    )
    # E p(1 − p) by brute force; at a point the weight is that of the point.
    nodes = np.linspace(-8, 8, 4001)
    p = expit(mean[:, None] + np.sqrt(variance)[:, None] * nodes)
    weight = (p * (1 - p) * np.exp(-(nodes**2) / 2)).sum(axis=1) / np.exp(-(nodes**2) / 2).sum()
    np.testing.assert_allclose(table["fisher_weight"], weight, rtol=1e-4)
    # The first pair shares nothing with those before it.
    alone = 0.5 * np.log1p(table["fisher_weight"] * table["logit_variance"])
    assert table["gain"][0] == pytest.approx(alone[0], rel=1e-6)
    assert (table["gain"] <= alone * (1 + 1e-9)).all()
    text = str(explanation)
    assert text.startswith("8 pairs chosen by pa-dopt\n")
    assert f"response {batch.first[0]}" in text
    assert "<table" in explanation._repr_html_()


def test_a_text_takes_one_line_of_what_is_printed_and_is_whole_in_the_table():
    text = "word\n" * 40 + "<b>"
    table = pd.DataFrame({"gain": [1 / 3], "first_text": [text], "second_text": ["short\ntext"]})
    explanation = Explanation(table, xr.Dataset(), "epig")
    for printed in (str(explanation), explanation._repr_html_()):
        assert all(part in printed for part in ("word " * 11 + "word…", "short text", "0.3333"))
        assert printed.count("word") == 12
    assert explanation.table["first_text"][0] == text


def test_the_projection_keeps_distances_and_can_be_drawn(world, tmp_path):
    """Of two features nothing is lost: squared distances are the variances of the logits."""
    flat = brm.ResponsePool(world.pool.embeddings[:, :2], world.pool.prompt)
    posterior = brm.fit(brm.RewardModel(2, "linear"), flat, world.preferences)
    explanation = brm.select(posterior, brm.candidates(flat, size=40), "pa-dopt", 6).explain()
    projection = explanation.projection
    apart = (projection["first_position"] - projection["second_position"]).values
    np.testing.assert_allclose((apart**2).sum(axis=1), explanation.table["logit_variance"], rtol=1e-8)
    assert projection["share"].values.sum() == pytest.approx(1.0)
    assert projection.sizes["response"] == len(flat)
    save(batch_projection(projection), tmp_path / "batch.png")
    assert (tmp_path / "batch.png").stat().st_size > 5_000


@pytest.mark.parametrize("design", ["random", "bald", "gradient-sampled"])
def test_any_design_can_be_explained(laplace, pool, design):
    candidates = brm.candidates(pool, size=40)
    batch = (
        brm.select(laplace, candidates, "pa-dopt", 5, "gradient-sample")
        if design == "gradient-sampled"
        else brm.select(laplace, candidates, design, 5)
    )
    table = batch.explain().table
    assert ("inclusion" in table) == (design == "gradient-sampled")
    assert "first_text" not in table


def test_equal_responses_lie_in_one_point(laplace, pool):
    equal = brm.ResponsePool(np.ones((6, pool.dim), np.float32), np.repeat([0, 1], 3))
    batch = brm.select(laplace, brm.candidates(equal, size=None, identical=True), "pa-dopt", 3)
    explanation = batch.explain()
    assert explanation.table["first_prompt"].isin([0, 1]).all()
    np.testing.assert_allclose(explanation.table["logit_variance"], 0.0, atol=1e-12)
    np.testing.assert_allclose(explanation.projection["position"], 0.0, atol=1e-9)
    batch_projection(explanation.projection)


def test_a_selection_from_a_file_is_told_the_posterior(laplace, pool):
    chosen = brm.select(laplace, brm.candidates(pool, size=40), "pa-dopt", 5)
    read = brm.Selection(chosen.first, chosen.second, gain=chosen.gain, design="pa-dopt")
    with pytest.raises(InvalidInputError, match=r"from a file has none.*explain\(posterior\)"):
        read.explain()
    assert read.explain(laplace).table.equals(chosen.explain().table)


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """A run of two rounds in a folder, and its pool."""
    folder = tmp_path_factory.mktemp("explained")
    brm.save_pool(folder / "pool", world.pool, world.golden)
    pool = brm.load_pool(folder / "pool")
    brm.run(
        pool,
        brm.GoldenAnnotator(world.golden),
        model=brm.RewardModel(pool.dim, "linear"),
        inference="laplace",
        design="pa-dopt",
        batch_size=5,
        rounds=2,
        draws=5,
        out=folder / "run",
        progress=False,
    )
    return folder, pool


def test_rounds_of_a_run_are_explained_by_the_posterior_before_them(finished):
    folder, pool = finished
    explanation, (table, figure) = explain_run(folder / "run", folder / "pool")
    records = read_records(folder / "run")
    before = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, records[0].labels)
    assert explanation.table.equals(records[1].selection.explain(before).table)
    # The gains that were recorded are those that this posterior gives the first pair.
    first = explanation.table.iloc[0]
    assert first["gain"] == pytest.approx(
        0.5 * np.log1p(first["fisher_weight"] * first["logit_variance"]), rel=1e-6
    )
    assert table.read_text().startswith("pair,first,second,first_prompt,second_prompt,probability,fisher_weight")
    assert figure.stat().st_size > 5_000
    assert explain_run(folder / "run", folder / "pool", 0)[0].table["first"].tolist() == (
        records[0].selection.first.tolist()
    )
    with pytest.raises(InvalidInputError, match=r"between 0 and 1 of the run in .*, got 2"):
        explain_run(folder / "run", folder / "pool", 2)


def test_texts_that_are_formulas_are_none_in_the_table(finished, tmp_path):
    folder, pool = finished
    texts = ["=1+1" for _ in range(len(pool))]
    brm.save_pool(tmp_path / "pool", brm.ResponsePool(pool.embeddings, pool.prompt, texts))
    _, (table, _) = explain_run(folder / "run", tmp_path / "pool")
    written = pd.read_csv(table)
    assert set(written["first_text"]) | set(written["second_text"]) == {"'=1+1"}
    assert (written["gain"] > 0).all()


def test_the_command_prints_the_table(finished, monkeypatch, capsys):
    folder, _ = finished
    arguments = ["explain", str(folder / "run"), "--pool", str(folder / "pool"), "--round", "1"]
    monkeypatch.setattr("sys.argv", ["bayesrm", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "5 pairs chosen by pa-dopt" in printed
    assert "logit_variance" in printed
    assert "round_0001.csv" in printed
