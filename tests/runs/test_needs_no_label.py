"""A run keeps what needs no label beside the model, and its report says how much of the ranking is length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.evaluation.baselines import length_share
from bayesrm.evaluation.summary import length_verdict, rankings_without_labels
from bayesrm.reports.runs import write_report
from bayesrm.runs.combine import combine


def _pools(seed: int = 0) -> tuple[brm.ResponsePool, brm.ResponsePool, np.ndarray, np.ndarray]:
    """Golden rewards that are half length, with texts of these lengths."""
    rng = np.random.default_rng(seed)
    made: list[object] = []
    for prompts in (20, 12):
        prompt = np.repeat(np.arange(prompts), 5)
        x = rng.normal(size=(len(prompt), 3)).astype(np.float32)
        texts = ["x" * (50 + int(20 * value)) for value in np.clip(x[:, 0], -2, 2)]
        made += [brm.ResponsePool(x, prompt, texts), (x[:, 0] + x[:, 1]).astype(float)]
    return made[0], made[2], made[1], made[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pool, test, golden, test_golden = _pools()
    out = tmp_path_factory.mktemp("runs")
    for design in ("random", "pa-dopt"):
        brm.run(
            pool,
            brm.GoldenAnnotator(golden),
            (test, test_golden),
            brm.RewardModel(pool, encoder="linear"),
            design=design,
            batch_size=20,
            rounds=2,
            draws=8,
            out=out / design,
            progress=False,
        )
    return out


def test_a_run_has_rankings_without_labels_and_the_share_of_length(folder: Path) -> None:
    pool, test, golden, test_golden = _pools()
    trajectory = brm.open_results(folder / "random")["trajectory"].to_dataset()
    expected = brm.baselines(test, test_golden)
    for name in ("log_characters", "lines"):
        values = trajectory[f"baseline_{name}"].values
        np.testing.assert_array_equal(values, [expected[name]["one_minus_spearman"]] * 2)
    assert "baseline_random" not in trajectory
    assert ((trajectory["length_share"] > 0) & (trajectory["length_share"] < 1)).all()
    assert "one_minus_spearman_given_length" in trajectory
    # Of the very posterior: a model that was given all labels at once.
    labels = brm.GoldenAnnotator(golden).label(brm.candidates(pool, size=300, prompts=None))
    posterior = brm.fit(brm.RewardModel(pool, encoder="linear"), pool, labels)
    share = length_share(posterior.reward(test)[0], test)
    assert 0.3 < share < 0.7, "half of the golden reward is length"


def test_reports_say_what_length_does(folder: Path) -> None:
    trajectory = combine([folder / "random", folder / "pa-dopt"])["trajectory"].to_dataset()
    alone = rankings_without_labels(trajectory)
    assert set(alone) == {"log_characters", "lines"}
    assert list(alone.values()) == sorted(alone.values())
    last = trajectory.isel(round=-1).mean("seed")
    best = int(last["one_minus_spearman"].values.argmin())
    share = float(last["length_share"].values.flat[best])
    text = length_verdict(trajectory)
    assert f"{share:.0%} of what the model knows is length" in text
    assert f"ranks at 1 − Spearman {alone['log_characters']:.3f}" in text
    assert f"the model at {float(last['one_minus_spearman'].values.flat[best]):.3f}" in text
    page = write_report(folder).read_text(encoding="utf-8")
    assert text in page
    assert "Rankings that need no label" in page
    assert "log characters" in page
    assert page.count("length alone") >= 1


def test_without_texts_nothing_is_said(world: object, tmp_path: Path) -> None:
    brm.run(
        world.pool,
        brm.GoldenAnnotator(world.golden),
        (world.pool, world.golden),
        brm.RewardModel(world.pool.dim, encoder="linear"),
        batch_size=10,
        rounds=1,
        draws=8,
        out=tmp_path / "run",
        progress=False,
    )
    trajectory = combine([tmp_path / "run"])["trajectory"].to_dataset()
    assert not [name for name in trajectory if str(name).startswith("baseline_") or name == "length_share"]
    assert length_verdict(trajectory) == ""
    assert "Rankings that need no label" not in write_report(tmp_path).read_text(encoding="utf-8")
