"""Files that bayesrm wrote itself and that were damaged since: one sentence each, whatever is in them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.runs.results import RESULTS_FILE, configuration_of, load_results, write_results
from bayesrm.utils.files import read_json, write_json

sys.path.insert(0, str(Path(__file__).parents[1]))
from mutations import JUNK, WHOLE


@pytest.fixture(scope="module")
def pool():
    random = np.random.default_rng(5)
    return brm.ResponsePool(
        random.standard_normal((20, 4)), np.repeat(np.arange(5), 4), blocks={"a": slice(0, 2), "b": slice(2, 4)}
    )


@pytest.fixture(scope="module")
def posterior(pool):
    labels = brm.Preferences(np.array([0, 4]), np.array([1, 5]), np.array([1.0, 0.0]))
    return brm.fit(brm.RewardModel(pool, "linear"), pool, labels)


@pytest.mark.parametrize("which", range(len(WHOLE)))
def test_a_file_in_json_has_an_object_or_is_refused(tmp_path, which):
    path = tmp_path / "run.json"
    path.write_bytes(WHOLE[which])
    if WHOLE[which] in (b"{}", b'{"question": "\\ud800"}'):
        assert isinstance(read_json(path), dict)
        return
    with pytest.raises(InvalidInputError, match=r"run\.json"):
        read_json(path)


@pytest.mark.parametrize("which", range(len(WHOLE)))
def test_a_card_of_a_pool_and_the_configuration_of_a_model(tmp_path, which, pool, posterior):
    brm.save_pool(tmp_path / "pool", pool)
    (tmp_path / "pool" / "card.json").write_bytes(WHOLE[which])
    try:
        read_json(tmp_path / "pool" / "card.json")
    except InvalidInputError:
        with pytest.raises(InvalidInputError, match=r"card\.json"):
            brm.load_pool(tmp_path / "pool")
    else:
        assert len(brm.load_pool(tmp_path / "pool")) == 20
    brm.save_reward_model(tmp_path / "model", posterior)
    (tmp_path / "model" / "reward_model.json").write_bytes(WHOLE[which])
    with pytest.raises(InvalidInputError, match=r"reward_model\.json"):
        brm.load_reward_model(tmp_path / "model")


def test_a_configuration_in_which_one_value_is_another(tmp_path, posterior):
    brm.save_reward_model(tmp_path / "model", posterior)
    file = tmp_path / "model" / "reward_model.json"
    good, refused = json.loads(file.read_text()), 0
    for key in good:
        for junk in (*JUNK, None):
            write_json(file, {**good, key: repr(junk) if isinstance(junk, (str, list)) else junk})
            try:
                brm.load_reward_model(tmp_path / "model")
            except InvalidInputError:
                refused += 1
    assert refused > 50


def test_results_that_were_damaged(tmp_path, posterior):
    tree = posterior.to_datatree(8)
    write_results(tree, tmp_path / RESULTS_FILE)
    data = (tmp_path / RESULTS_FILE).read_bytes()
    assert load_results(tmp_path)["posterior"].sizes["draw"] == 8
    with pytest.raises(InvalidInputError, match="how the run was made"):
        configuration_of(load_results(tmp_path))
    random, refused = np.random.default_rng(2), 0
    for trial in range(40):
        at = int(random.integers(0, len(data)))
        broken = data[:at] if trial % 2 else data[:at] + b"\xff" * 16 + data[at + 16 :]
        path = tmp_path / f"{trial}.nc"
        path.write_bytes(broken)
        try:
            load_results(path)
        except InvalidInputError as error:
            refused += str(path) in str(error)
    assert refused >= 20
    for which, content in enumerate(WHOLE):
        path = tmp_path / f"whole-{which}.nc"
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match="netCDF"):
            load_results(path)
