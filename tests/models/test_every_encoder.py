"""The contract of every encoder: it is found by its name, and tested here by nothing more than being there."""

from __future__ import annotations

import json
from inspect import signature

import numpy as np
import pytest
import torch
from torch import nn

import bayesrm as brm
from bayesrm.errors import InvalidInputError
from bayesrm.export.architecture import build_encoder, describe_encoder, load_encoder
from bayesrm.models.encoders import AUTO, ENCODERS, RECOMMENDED_ENCODER, Encoder, make_encoder
from bayesrm.models.encoders.base import INPUTS
from bayesrm.models.encoders.mlp import MLP
from bayesrm.models.reward_model import RewardModel

pytestmark = pytest.mark.usefixtures("short_training")


def _rows(pool: brm.ResponsePool) -> torch.Tensor:
    return torch.from_numpy(pool.rows(np.arange(len(pool))))


@pytest.mark.parametrize("name", list(ENCODERS))
def test_it_is_documented_and_makes_itself_from_its_settings(name, pool):
    part = ENCODERS[name]
    assert ENCODERS.lines()[name]
    assert part.default_inputs in INPUTS
    made = make_encoder(pool.dim, name, (5, 3))
    assert type(made) is part
    assert made.inputs == part.default_inputs
    settings = json.loads(json.dumps(made.settings))
    assert set(settings) <= set(signature(part).parameters) - {"dim", "inputs"}
    again = part(pool.dim, inputs=made.inputs, **settings)
    assert again.settings == made.settings
    assert again.features == made.features


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("name", list(ENCODERS))
def test_blocks_cover_its_features_once(name, inputs, pool):
    encoder = make_encoder(pool.dim, name, (5, 3), inputs)
    encoder.fit_pool(pool)
    encoder.measure()
    features = encoder(_rows(pool))
    assert features.shape == (len(pool), encoder.features)
    assert torch.isfinite(features).all()
    covered = sorted((block.start, block.stop) for block in encoder.blocks.values())
    assert [start for start, _ in covered] == [0, *(stop for _, stop in covered[:-1])]
    assert covered[-1][1] == encoder.features


@pytest.mark.parametrize("name", list(ENCODERS))
def test_a_response_is_encoded_alone_as_among_others(name, pool):
    encoder = make_encoder(pool.dim, name, (5, 3))
    encoder.fit_pool(pool)
    rows = _rows(pool)
    assert torch.allclose(encoder(rows)[3:5], encoder(rows[3:5]), atol=1e-6)


@pytest.mark.parametrize("labels", [0, 10, 150])
@pytest.mark.parametrize("name", [*ENCODERS, AUTO])
def test_it_is_fitted_the_same_every_time(name, labels, world):
    model = brm.RewardModel(world.pool.dim, name, hidden=(5, 3))
    one, two = (brm.fit(model, world.pool, world.preferences[:labels], seed=3) for _ in range(2))
    assert torch.equal(one.location, two.location)
    mean, sd = one.reward(world.pool)
    assert np.isfinite(mean).all()
    assert (sd >= 0).all()
    if labels == 150:
        assert np.corrcoef(mean, world.golden)[0, 1] > 0.5


@pytest.mark.parametrize("name", list(ENCODERS))
def test_a_prior_scale_for_each_block(name, world):
    blocks = brm.RewardModel(world.pool.dim, name, hidden=(5, 3)).blocks
    scales = {block: 0.5 + k for k, block in enumerate(blocks)}
    model = brm.RewardModel(world.pool.dim, name, hidden=(5, 3), prior_scale=scales)
    posterior = brm.fit(model, world.pool, world.preferences[:30])
    assert posterior.model.prior_scale == scales
    with pytest.raises(InvalidInputError, match="expected a prior scale for each of the blocks"):
        brm.RewardModel(world.pool.dim, name, prior_scale={"no such block": 1.0})


@pytest.mark.parametrize("name", [*ENCODERS, AUTO])
def test_it_is_saved_and_scores_the_same(name, world, tmp_path):
    # Intercepts of prompts are not saved: they cancel where responses to one prompt are compared.
    model = brm.RewardModel(world.pool.dim, name, hidden=(5, 3), prompt_intercept=False)
    posterior = brm.fit(model, world.pool, world.preferences)
    brm.save_reward_model(tmp_path / "model", posterior)
    loaded = brm.load_reward_model(tmp_path / "model")
    scored = loaded.function.moments(world.pool.rows(np.arange(len(world.pool)))).mean
    np.testing.assert_allclose(scored, posterior.reward(world.pool)[0], atol=1e-5)


def test_auto_is_the_recommended_one():
    assert type(RewardModel(6, AUTO).encoder) is ENCODERS[RECOMMENDED_ENCODER]
    assert RewardModel(6, AUTO).encoder.inputs == ENCODERS[RECOMMENDED_ENCODER].default_inputs


def test_an_encoder_with_settings_is_taken_by_its_name(world):
    model = brm.RewardModel(6, MLP(6, hidden=(4,)))
    assert (model.encoder_name, model.describe()["hidden"], model.features) == ("mlp", [4], 4)
    by_name = brm.RewardModel(6, "mlp", hidden=(4,))
    assert model.describe() == by_name.describe()
    one, two = (brm.fit(each, world.pool, world.preferences[:40], "plugin") for each in (model, by_name))
    assert torch.equal(one.location, two.location)
    with pytest.raises(InvalidInputError, match="of embeddings of dimension 7, got one of 6"):
        brm.RewardModel(7, MLP(6))


class _Squares(nn.Module):
    """Distances to some responses of the pool, under a length scale."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(1, dim))
        self.register_buffer("length", torch.tensor(1.0))

    def forward(self, x):
        return torch.exp(-0.5 * torch.cdist(x, self.centres).square() / self.length**2)


class _Bumps(Encoder):
    """Gaussian bumps around responses; more of them in a larger pool; the width by evidence."""

    name = "bumps"

    def __init__(self, dim, every=7, inputs="standardized"):
        super().__init__(dim, _Squares(dim), inputs)
        self.every = every

    @property
    def settings(self):
        return {"every": self.every}

    def fit_pool(self, pool):
        super().fit_pool(pool)
        self.body.centres = self.prepare(_rows(pool)[:: self.every])

    def fit_labels(self, pool, preferences, evidence):
        found = {}
        for length in (0.01, 1.0, 3.0):
            self.body.length.fill_(length)
            found[length] = evidence(self)
        self.found = found
        self.body.length.fill_(max(found, key=found.get))


def test_an_encoder_learns_from_the_pool_and_from_labels_and_is_saved(world, tmp_path, monkeypatch):
    monkeypatch.setattr("bayesrm.utils.plugins._added", [_Bumps])
    model = brm.RewardModel(6, "bumps")
    assert model.features == 1
    posterior = brm.fit(model, world.pool, world.preferences)
    encoder = posterior.model.encoder
    assert encoder.features == len(range(0, len(world.pool), 7)) == len(posterior.location)
    assert set(encoder.found) == {0.01, 1.0, 3.0}
    assert float(encoder.body.length) == pytest.approx(max(encoder.found, key=encoder.found.get))
    # Bumps that are too narrow to meet another response say nothing of it.
    assert min(encoder.found, key=encoder.found.get) == 0.01
    described = json.loads(json.dumps(describe_encoder(encoder)))
    assert described["settings"] == {"every": 7}
    again = build_encoder(described)
    load_encoder(again, described["features"], encoder.state_dict())
    rows = _rows(world.pool)
    assert torch.equal(again(rows), encoder(rows))
    brm.save_reward_model(tmp_path / "model", posterior)
    loaded = brm.load_reward_model(tmp_path / "model")
    scored = loaded.function.moments(world.pool.rows(np.arange(len(world.pool)))).mean
    np.testing.assert_allclose(scored, posterior.reward(world.pool)[0], atol=1e-5)


def test_few_labels_leave_an_encoder_at_its_defaults(world, monkeypatch):
    monkeypatch.setattr("bayesrm.utils.plugins._added", [_Bumps])
    few = brm.fit(brm.RewardModel(6, "bumps"), world.pool, world.preferences[:5])
    assert float(few.model.encoder.body.length) == 1.0
    assert not hasattr(few.model.encoder, "found")
