"""Constraints and inclusion probabilities in the loop: honoured, recorded, kept when a run is resumed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.runs.cell import Cell
from bayesrm.runs.config import RunConfig


@pytest.fixture(scope="module")
def world(make_world):
    return make_world(sizes=(8,) * 6, dim=4)


def run(world, out, rounds=2, **settings):
    return brm.run(
        world.pool,
        brm.GoldenAnnotator(world.golden, seed=0),
        model=brm.RewardModel(4, "linear", prior_scale=1.0),
        scope="cross-prompt",
        batch_size=6,
        rounds=rounds,
        out=out,
        draws=10,
        progress=False,
        **settings,
    )


def test_every_round_honours_the_constraints(world, tmp_path):
    rules = {"per_prompt": 4, "per_response": 1, "min_within": 3}
    tree = run(world, tmp_path / "run", design="pa-dopt", **rules)
    selection = tree["selection"]
    group = world.pool.group
    for t in range(2):
        here = selection["asked_in_round"].to_numpy() == t
        first, second = selection["first"].to_numpy()[here], selection["second"].to_numpy()[here]
        assert len(np.unique([first, second])) == 12
        assert (group[first] == group[second]).sum() >= 3
        touched = [set(ends) for ends in zip(group[first], group[second], strict=True)]
        assert max(sum(prompt in ends for ends in touched) for prompt in range(6)) <= 4
    # Resumed with the same rules it is the same run; with others it is refused.
    assert run(world, tmp_path / "run", design="pa-dopt", **rules)["selection"].identical(selection)
    with pytest.raises(InvalidInputError, match=r"constraints is.*per_prompt=4.*there and null here"):
        run(world, tmp_path / "run", design="pa-dopt")


def test_dear_pairs_are_asked_less_and_costs_belong_to_the_run(world, tmp_path):
    cost = np.where(np.arange(len(world.pool)) < 24, 1.0, 1000.0)
    tree = run(world, tmp_path / "run", design="pa-dopt", cost=cost)
    assert max(tree["selection"]["first"].max(), tree["selection"]["second"].max()) < 24
    assert run(world, tmp_path / "run", design="pa-dopt", cost=cost)["selection"].identical(tree["selection"])
    with pytest.raises(InvalidInputError, match=r"cost is .* there and null here"):
        run(world, tmp_path / "run", design="pa-dopt")
    with pytest.raises(InvalidInputError, match="a cost for each of the 48 responses of the pool, got 3"):
        run(world, None, design="pa-dopt", cost=np.ones(3))


def test_folders_from_before_there_were_constraints_are_recognised(world, tmp_path):
    whole = run(world, tmp_path / "whole", design="pa-dopt")
    run(world, tmp_path / "old", rounds=1, design="pa-dopt")
    file = tmp_path / "old" / "run.json"
    configuration = json.loads(file.read_text())
    assert configuration.pop("constraints") is None
    file.write_text(json.dumps(configuration))
    assert run(world, tmp_path / "old", design="pa-dopt")["selection"].identical(whole["selection"])
    file.write_text(json.dumps(configuration))
    with pytest.raises(InvalidInputError, match=r"constraints is null there and.*per_response=2"):
        run(world, tmp_path / "old", design="pa-dopt", per_response=2)


def test_inclusion_survives_a_kill(world, tmp_path):
    settings = {"design": "pa-dopt", "selector": "gradient-sample"}
    whole = run(world, tmp_path / "whole", **settings)["selection"]
    assert ((whole["inclusion"] > 0) & (whole["inclusion"] < 1)).all()
    run(world, tmp_path / "killed", **settings)
    for left in ("rounds/0001.metrics.json", "rounds/0001.labels.parquet", "results.nc"):
        (tmp_path / "killed" / left).unlink()
    assert run(world, tmp_path / "killed", **settings)["selection"].identical(whole)
    assert "inclusion" not in run(world, None, design="pa-dopt")["selection"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"per_prompt": 0}, "per_prompt: expected a number greater than 0"),
        ({"min_within": 7}, "min_within of at most 6.*got 7"),
    ],
)
def test_impossible_constraints_are_refused_before_anybody_is_asked(world, tmp_path, settings, message):
    with pytest.raises(InvalidInputError, match=message):
        run(world, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_configuration_carries_them(world, tmp_path):
    golden = np.asarray(world.golden)
    brm.save_pool(tmp_path / "pool", world.pool, golden)
    config = RunConfig(
        pool=tmp_path / "pool", encoder="linear", design="random", batch_size=6, rounds=1, draws=5,
        scope="cross-prompt", per_prompt=4, per_response=1, min_within=3,
    )  # fmt: skip
    Cell({}, config, tmp_path / "out").carry_out()
    recorded = json.loads((tmp_path / "out" / "run.json").read_text())
    assert recorded["constraints"] == "per_prompt=4, per_response=1, min_within=3"
    with pytest.raises(InvalidInputError, match="per_prompt"):
        RunConfig(pool=tmp_path, per_prompt=0)
    shutil.rmtree(tmp_path / "out")
