"""The Laplace evidence of two blocks: against quadrature, and its slope in log prior scales by finite differences."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.inference.fitting.evidence_slope import evidence_slope
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.inference.fitting.newton import Mode, maximise
from bayesrm.models.features import labelled_differences
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.nuisance import NuisanceSpace
from bayesrm.utils.factors import DenseFactor

CPU = torch.device("cpu")


def _pool(seed: int = 0, dim: int = 6, blocks: int = 2) -> brm.ResponsePool:
    r = np.random.default_rng(seed)
    width = dim // blocks
    return brm.ResponsePool(
        r.normal(size=(120, dim)).astype(np.float32),
        np.repeat(np.arange(30), 4),
        blocks={f"layer-{k}": slice(k * width, (k + 1) * width) for k in range(blocks)},
        covariates={"log_characters": r.normal(size=120)},
    )


def _joint(likelihood: str, scales: dict[str, float], labels: int = 60) -> tuple[brm.RewardModel, LogJoint]:
    """A linear reward over three blocks: two of the embedding, one of covariates."""
    pool = _pool()
    rewards = pool.embeddings @ np.linspace(1, -1, pool.dim)
    model = brm.RewardModel(pool, "linear", likelihood=likelihood, prior_scale=scales, inputs="standardized")
    if likelihood == "plackett-luce":
        order = [member[np.argsort(-rewards[member])].tolist() for member in pool.members[:15]]
        prefs = brm.Preferences.from_rankings(order)
    else:
        prefs = brm.GoldenAnnotator(rewards, 0.8, seed=1).label(brm.candidates(pool, size=labels))
    fitted = brm.fit(model, pool, prefs).model
    data = labelled_differences(fitted, pool, prefs, CPU)
    return fitted, fitted.log_joint(data, fitted.prior_sd().pow(-2))


SCALES = {"layer-0": 0.9, "layer-1": 0.3, "covariates": 0.5}


def _slope(joint: LogJoint, mode: Mode, given_nuisance: bool) -> torch.Tensor:
    """(feature,) the slope, with Σ that of β alone or given the nuisance parameters."""
    if given_nuisance:
        # The rows of β in the factor of the joint precision have its block of β as their product.
        rows, q = mode.joint_cholesky[joint.nuisance.size :], joint.nuisance.size
        factor = torch.linalg.cholesky(rows @ rows.T)
        mode = replace(mode, joint=DenseFactor(torch.block_diag(torch.eye(q, dtype=torch.float64), factor)))
    squares, determined, moving = evidence_slope(joint, mode)
    assert float(moving.abs().max()) > 1e-3, "the third term counts"
    return squares - determined - moving


def _moved(model: brm.RewardModel, joint: LogJoint, name: str, step: float) -> LogJoint:
    precision = model.prior_sd().pow(-2)
    precision[model.blocks[name]] *= math.exp(-2 * step)
    return model.log_joint(joint.data, precision)


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
def test_the_slope_in_log_scales_is_that_of_finite_differences(likelihood):
    """At held nuisance parameters, however many there are, to the accuracy of central differences."""
    model, joint = _joint(likelihood, SCALES)
    mode = find_mode(joint)
    slope = _slope(joint, mode, given_nuisance=True)
    with torch.no_grad():
        held = NuisanceSpace(partial(dict, joint.nuisance.at(mode.nuisance).values), CPU)

    def evidence(name: str, step: float) -> float:
        return maximise(replace(_moved(model, joint, name, step), nuisance=held), mode.beta).log_evidence

    assert set(model.blocks) == set(SCALES)
    for name, block in model.blocks.items():
        by_difference = (evidence(name, 1e-3) - evidence(name, -1e-3)) / 2e-3
        assert float(slope[block].sum()) == pytest.approx(by_difference, abs=1e-4), name


@pytest.mark.parametrize("likelihood", ["graded", "davidson", "rao-kupper"])
def test_the_marginal_covariance_brings_the_slope_closer_to_that_of_the_whole_evidence(likelihood):
    """The evidence of weights and thresholds, of few labels: within .025 nats, and nearer than given the thresholds."""
    model, joint = _joint(likelihood, SCALES, labels=15)
    mode = find_mode(joint)
    far = {True: 0.0, False: 0.0}
    for name, block in model.blocks.items():
        up, down = (find_mode(_moved(model, joint, name, step), mode).log_evidence for step in (1e-2, -1e-2))
        for given in far:
            off = abs(float(_slope(joint, mode, given)[block].sum()) - (up - down) / 2e-2)
            far[given] = max(far[given], off)
    assert far[False] < 0.025
    assert far[False] < far[True]


@pytest.mark.parametrize(("labels", "tolerance"), [(40, 0.1), (400, 0.01)])
def test_the_evidence_of_two_blocks_by_quadrature(labels, tolerance):
    """One feature a block, prior scales a factor of four apart, one prior mean that is not zero; error of order d/n."""
    r = np.random.default_rng(3)
    pool = brm.ResponsePool(
        r.normal(size=(80, 1)).astype(np.float32),
        np.repeat(np.arange(20), 4),
        covariates={"judge": r.normal(size=80)},
    )
    rewards = pool.embeddings[:, 0] + 0.5 * pool.covariates["judge"]
    prefs = brm.GoldenAnnotator(rewards, seed=2).label(brm.candidates(pool, "cross-prompt", size=labels))
    model = brm.RewardModel(
        pool,
        "linear",
        prior_scale={"features": 1.2, "judge": 0.3},
        prior_mean={"judge": 0.4},
        inputs="standardized",
    )
    posterior = brm.fit(model, pool, prefs)
    assert set(posterior.model.blocks) == {"features", "judge"}
    axis = np.linspace(-10, 10, 161)
    steps = torch.from_numpy(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
    root = torch.linalg.inv(posterior.information_cholesky).T
    beta = posterior.location + steps @ root.T
    features = posterior.features(pool).numpy()
    z = torch.from_numpy(features[prefs.first] - features[prefs.second])
    y = torch.from_numpy(prefs.outcome)
    prior = torch.distributions.Normal(torch.tensor([0.0, 0.4]).double(), torch.tensor([1.2, 0.3]).double())
    log_joint = (y * (beta @ z.T) - torch.nn.functional.softplus(beta @ z.T)).sum(dim=1)
    log_joint = log_joint + prior.log_prob(beta).sum(dim=1)
    cell = (axis[1] - axis[0]) ** 2 * float(torch.linalg.det(root))
    exact = float(torch.logsumexp(log_joint, dim=0)) + math.log(cell)
    assert posterior.log_evidence == pytest.approx(exact, abs=tolerance)


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_the_trace_of_the_information_without_the_information(name):
    _, joint = _joint(name, SCALES)
    data, nu = joint.data, joint.nuisance.start()
    likelihood = joint.likelihood.given(joint.nuisance.values(nu), data.context)
    logit = data.difference @ find_mode(joint).beta
    arguments = (logit, data.outcome, data.weight)
    trace = likelihood.information(data.difference, *arguments).trace()
    torch.testing.assert_close(likelihood.information_trace(data.difference, *arguments), trace)
