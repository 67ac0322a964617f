"""The prior of several scales: density, maximum given a mode, and that ten blocks do not overfit forty labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

import bayesrm as brm
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.prior_scale import unit_scales
from bayesrm.inference.fitting.scale_prior import (
    COVARIATES_WEIGHT,
    LAYER_SD,
    OTHER_SD,
    OTHER_SHAPES,
    SHARED_MEAN,
    SHARED_SD,
    layer_weights,
    scale_prior,
)
from bayesrm.models.covariates import CovariateFeatures
from bayesrm.models.encoders import MIXED
from bayesrm.models.features import labelled_differences

NONE = CovariateFeatures(())


def _layered(seed: int, layers: int = 7, prompts: int = 40, each: int = 6, dim: int = 5) -> brm.ResponsePool:
    r = np.random.default_rng(seed)
    n = prompts * each
    base = r.normal(size=(n, dim)) @ np.diag(np.linspace(2, 0.3, dim))
    blocks = {f"layer-{k}": slice(k * dim, (k + 1) * dim) for k in range(layers)}
    embeddings = np.concatenate(
        [base @ r.normal(size=(dim, dim)) + r.normal(size=(n, dim)) for _ in blocks], axis=1
    )
    covariates = {name: r.normal(size=n) for name in ("log_characters", "lines", "list_items")}
    return brm.ResponsePool(
        embeddings.astype(np.float32), np.repeat(np.arange(prompts), each), blocks=blocks, covariates=covariates
    )


def test_weights_of_layers_follow_depth():
    weights = layer_weights([f"layer-{k}" for k in range(7)])
    assert sum(value**2 for value in weights.values()) == pytest.approx(1.0)
    assert (
        weights["layer-0"] == weights["layer-5"] == weights["layer-6"] == pytest.approx(0.4 * weights["layer-2"])
    )
    assert layer_weights(["embedding"]) == {"embedding": 1.0}
    assert layer_weights(["a", "b"]) == pytest.approx({"a": 0.5**0.5, "b": 0.5**0.5})


def test_the_density_is_that_of_a_shared_part_and_one_for_each_block():
    prior = scale_prior(["layer-0", "layer-1", "mixed"], CovariateFeatures(["log_characters", "lines"]))
    assert prior.names == ("layer-0", "layer-1", "mixed", "covariates")
    sd = np.array([LAYER_SD, LAYER_SD, OTHER_SD, LAYER_SD])
    weight = [*layer_weights(["layer-0", "layer-1"]).values(), OTHER_SHAPES[MIXED], COVARIATES_WEIGHT]
    shared = multivariate_normal(SHARED_MEAN + np.log(weight), SHARED_SD**2 * np.ones((4, 4)) + np.diag(sd**2))
    a, b = np.random.default_rng(0).normal(size=(2, 4))
    assert prior.log_density(a) - prior.log_density(b) == pytest.approx(shared.logpdf(a) - shared.logpdf(b))
    assert scale_prior(["features"], NONE) is None


def test_the_stationary_point_is_the_maximum():
    prior = scale_prior(["layer-0", "layer-1", "layer-2"], NONE)
    r = np.random.default_rng(1)
    for _ in range(5):
        squares, determined = r.gamma(1.0, 3.0, size=3), r.gamma(2.0, 2.0, size=3)

        def loss(t, squares=squares, determined=determined):
            return determined @ t + 0.5 * squares @ np.exp(-2 * t) - prior.log_density(t)

        found = prior.stationary(squares, determined, prior.mean)
        best = minimize(loss, prior.mean, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
        np.testing.assert_allclose(found, best.x, atol=1e-4)


def test_the_scales_chosen_are_those_of_the_largest_evidence_and_prior():
    """Within the tolerance at which the search stops of a maximum by brute force."""
    pool = _layered(0, layers=2)
    r = np.random.default_rng(3)
    prefs = brm.GoldenAnnotator(pool.embeddings @ r.normal(size=pool.dim) / 3, seed=1).label(
        brm.candidates(pool, size=80, seed=2)
    )
    model = brm.RewardModel(pool, encoder="linear")
    posterior = brm.fit(model, pool, prefs)
    fitted, cpu = posterior.model, torch.device("cpu")
    prior = scale_prior(list(fitted.encoder.blocks), fitted.covariates)
    unit = unit_scales(fitted, pool, cpu, within=True)
    data = labelled_differences(fitted, pool, prefs, cpu)

    def value(t: np.ndarray) -> float:
        precision = torch.ones(fitted.features, dtype=torch.float64)
        for name, log_spread in zip(prior.names, t, strict=True):
            precision[fitted.blocks[name]] = (unit[name] * math.exp(log_spread)) ** -2
        return find_mode(fitted.log_joint(data, precision)).log_evidence + prior.log_density(np.asarray(t))

    chosen = np.log([fitted.prior_scale[name] / unit[name] for name in prior.names])
    best = minimize(lambda t: -value(t), prior.mean, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4})
    assert value(chosen) > -best.fun - 0.02
    assert value(chosen) >= value(prior.mean) - 1e-6


def test_ten_blocks_do_not_overfit_forty_labels_of_noise():
    """Answers at random: predictions of others are nearly as good as knowing nothing."""
    pool = _layered(5)
    excess = []
    for seed in range(8):
        r = np.random.default_rng(seed)
        asked = brm.candidates(pool, size=40, seed=seed)
        prefs = brm.Preferences(asked.first, asked.second, r.integers(0, 2, 40).astype(float))
        posterior = brm.fit(brm.RewardModel(pool, encoder="auto"), pool, prefs)
        assert len(posterior.model.blocks) == 9
        other = brm.candidates(pool, size=400, seed=100 + seed)
        p = posterior.preference_probability(pool, other.first, other.second)
        # The expected log loss where every answer is a coin's.
        excess.append(-0.5 * np.log(p * (1 - p)).mean() - math.log(2))
    assert np.mean(excess) < 0.03
