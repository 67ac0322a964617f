"""The check of whether a reward that is linear in the layers will do."""

from __future__ import annotations

import re

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.diagnostics.checks import Subject
from bayesrm.diagnostics.checks.linearity import Linearity
from bayesrm.inference.fitting.nonlinearity import log_bayes_factor
from bayesrm.inference.fitting.shape import ENOUGH


@pytest.fixture(scope="module")
def pool() -> brm.ResponsePool:
    x = np.random.default_rng(0).normal(size=(240, 3))
    blocks = {"layer-0": slice(0, 3), "layer-1": slice(3, 6)}
    embeddings = np.concatenate([x, x**3 / 3], axis=1).astype(np.float32)
    return brm.ResponsePool(embeddings, np.repeat(np.arange(40), 6), blocks=blocks)


def _finding(pool: brm.ResponsePool, encoder: str, power: int, inference: str = "laplace"):
    golden = -2.0 * np.asarray(pool.rows(np.arange(len(pool)))[:, 0], float) ** power
    asked = brm.candidates(pool, prompts=None, size=200, seed=1)
    labels = brm.GoldenAnnotator(golden, seed=1).label(asked)
    posterior = brm.fit(brm.RewardModel(pool, encoder), pool, labels, inference)
    return posterior, Linearity().run(Subject(posterior.to_datatree(draws=8), posterior))


@pytest.mark.parametrize(
    ("encoder", "power", "status", "said"),
    [
        ("auto", 1, "good", "A reward that is linear in the layers will do: 200 labels bring -"),
        ("layers", 2, "note", r"beside the layers; use encoder='auto', or 'layers\+kernel'\.$"),
        (
            "layers+kernel",
            2,
            "good",
            "not linear in the embedding: .* beside the layers, and the reward has a process",
        ),
        (
            "layers+mlp",
            2,
            "good",
            "not linear in the embedding: .* beside the layers, and the reward has a network",
        ),
        (
            "auto",
            2,
            "good",
            "not linear in the embedding: .* beside the layers, and the reward has a (process|network)",
        ),
        (
            "layers+kernel+mlp",
            2,
            "good",
            "not linear in the embedding: .* beside the layers, and the reward has a process and a network",
        ),
        ("layers+kernel", 1, "good", "will do: .*, and the reward hardly needs the process that it has"),
        ("layers+mlp", 1, "good", "^200 labels bring -.* where the reward has a network; of the network"),
    ],
)
def test_what_is_said(pool, encoder, power, status, said):
    posterior, found = _finding(pool, encoder, power)
    assert found.status == status
    assert re.search(said, found.sentence)
    factor = log_bayes_factor(posterior.model, pool, posterior.preferences, posterior.prior_precision)
    assert float(found.data["log_bayes_factor"]) == factor
    assert (factor >= ENOUGH) == (power == 2)


def test_other_models_are_not_asked(pool):
    assert _finding(pool, "linear", 1)[1] is None
    assert _finding(pool, "layers", 1, "plugin")[1] is None
    nothing = brm.fit(brm.RewardModel(pool, "auto"), pool, brm.Preferences.none())
    assert Linearity().run(Subject(nothing.to_datatree(draws=8), nothing)) is None


def test_it_is_part_of_a_diagnosis(pool):
    posterior, found = _finding(pool, "auto", 2)
    diagnosis = brm.diagnose(posterior, draws=64)
    assert found.sentence in diagnosis.verdicts
    assert float(diagnosis.tree["linearity"]["log_bayes_factor"]) >= ENOUGH


@pytest.mark.parametrize("encoder", ["layers+mlp", "layers+kernel+mlp"])
def test_a_network_that_is_not_there_is_not_named(pool, encoder):
    golden = -2.0 * np.asarray(pool.rows(np.arange(len(pool)))[:, 0], float) ** 2
    labels = brm.GoldenAnnotator(golden, seed=1).label(brm.candidates(pool, prompts=None, size=12, seed=1))
    posterior = brm.fit(brm.RewardModel(pool, encoder), pool, labels)
    found = Linearity().run(Subject(posterior.to_datatree(draws=8), posterior))
    assert "network" not in found.sentence
    assert ("process that it has" in found.sentence) == (encoder == "layers+kernel+mlp")
