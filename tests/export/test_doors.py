"""A saved reward model has numbers only, and no name in it adds anything to the card that people read."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.export.files import CARD, CONFIGURATION, TENSORS
from bayesrm.utils.files import sha256

HOSTILE = "a name\n\n# Another model\n\n<script>x</script> | [here](http://somewhere)"


def lines(folder) -> list[str]:
    """The card, all lines that the name is not in."""
    return [line for line in (folder / CARD).read_text().splitlines() if "name" not in line]


@pytest.fixture
def folder(laplace, tmp_path):
    brm.save_reward_model(tmp_path / "name", laplace)
    return tmp_path / "name"


@pytest.mark.parametrize("name", [HOSTILE, "", " ", "a\x1b[2J", "\ud800"], ids=ascii)
def test_a_name_is_one_line(laplace, tmp_path, name):
    with pytest.raises(InvalidInputError, match="expected a name of one line"):
        brm.save_reward_model(tmp_path / "model", laplace, name=name)
    assert not list(tmp_path.iterdir())


def test_the_name_of_a_folder_adds_no_line_to_the_card(laplace, folder, tmp_path):
    """A folder may be called anything, and gives the model its name."""
    hostile = tmp_path / HOSTILE.replace("/", "")
    brm.save_reward_model(hostile, laplace)
    card = (hostile / CARD).read_text()
    assert lines(hostile) == lines(folder)
    assert len(card.splitlines()) == len((folder / CARD).read_text().splitlines())
    assert "<script>" not in card.replace(json.dumps(hostile.name.replace("\n", "\\n"))[1:-1], "")


def test_nor_do_settings_of_a_pool(laplace, folder, tmp_path):
    """They come from the card of a pool, which somebody else may have made."""
    brm.save_reward_model(tmp_path / "hostile name", laplace, {"model": HOSTILE})
    brm.save_reward_model(tmp_path / "tame name", laplace, {"model": "name"})
    without_base = [line for line in lines(tmp_path / "tame name") if not line.startswith("base_model:")]
    assert lines(tmp_path / "hostile name") == without_base
    for setting in ("pooling", "template"):
        with pytest.raises(InvalidInputError, match=f"expected {setting} to be one of"):
            brm.save_reward_model(tmp_path / "other", laplace, {"model": "name", setting: f"mean{HOSTILE}"})


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["reward.location", "reward.covariance_factor", "encoder.standardize.mean"])
def test_weights_that_are_no_numbers_are_refused(folder, name, wrong):
    tensors = load_file(folder / TENSORS)
    name = next(each for each in tensors if each.endswith(name.rpartition(".")[-1]))
    tensors[name].view(-1)[-1] = wrong
    save_file(tensors, folder / TENSORS)
    described = json.loads((folder / CONFIGURATION).read_text())
    described["files"][TENSORS]["sha256"] = sha256(folder / TENSORS)
    (folder / CONFIGURATION).write_text(json.dumps(described))
    with pytest.raises(InvalidInputError, match=f"got NaN or infinite ones in {name}"):
        brm.load_reward_model(folder)


def test_limits_of_what_is_clipped_may_be_infinite(tmp_path):
    """Where one column has responses far out and another has none."""
    embeddings = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    embeddings[0, 0] = 1e5
    pool = brm.ResponsePool(embeddings.numpy(), [f"p{k // 3}" for k in range(60)])
    preferences = brm.Preferences([0, 3, 6], [1, 4, 7], [1.0, 0.0, 1.0])
    posterior = brm.fit(brm.RewardModel(3, "linear"), pool, preferences)
    brm.save_reward_model(tmp_path / "model", posterior)
    assert any(value.isinf().any() for value in load_file(tmp_path / "model" / TENSORS).values())
    mean, _ = brm.load_reward_model(tmp_path / "model").reward(pool)
    assert (mean == mean).all()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_nor_are_those_of_an_encoder_that_a_user_gives(wrong):
    body = nn.Linear(3, 2)
    with torch.no_grad():
        body.bias[1] = wrong
    with pytest.raises(InvalidInputError, match="got NaN or infinite ones in bias"):
        brm.RewardModel(3, body)
