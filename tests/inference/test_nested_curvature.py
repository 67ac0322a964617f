"""The curvature of what is left for nuisance parameters, in closed form against differences of its gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm.inference.fitting import nested, nested_curvature
from bayesrm.models.features import labelled_differences
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.log_joint import GaussianPrior, LogJoint

CPU = torch.device("cpu")
WITH_NUISANCE = ("annotator-flips", "annotators", "davidson", "flips", "graded", "rao-kupper")


def _joint(name: str, labels: int = 80) -> LogJoint:
    """Labels with weights, by four annotators, of 12 features."""
    r = np.random.default_rng(3)
    pool = brm.ResponsePool(r.normal(size=(60, 12)).astype(np.float32), np.arange(60) // 6)
    golden = pool.embeddings @ r.normal(size=12) / 2
    pairs = brm.candidates(pool, size=labels, seed=0)
    logit = torch.from_numpy(golden[pairs.first] - golden[pairs.second]).double()
    outcome = LIKELIHOODS[name]().simulate(logit, r).numpy()
    prefs = brm.Preferences(
        pairs.first, pairs.second, outcome, r.integers(4, size=labels), weight=r.uniform(0.5, 2, size=labels)
    )
    model = brm.RewardModel(12, "linear", likelihood=name, prior_scale=0.5, inputs="raw").fresh(0)
    model.fit_pool(pool)
    return model.log_joint(labelled_differences(model, pool, prefs, CPU), torch.full((12,), 4.0).double())


@pytest.mark.parametrize("name", WITH_NUISANCE)
def test_it_is_that_of_differences(name, monkeypatch):
    monkeypatch.setattr(nested_curvature, "ROWS", 32)
    joint = _joint(name)
    assert joint.nuisance.size > 0
    away = torch.from_numpy(np.random.default_rng(0).normal(size=joint.nuisance.size)) / 3
    at = nested._inside(joint, away, torch.zeros(12, dtype=torch.float64))
    closed = nested_curvature.nested_curvature(joint, at.nu, at.mode)
    torch.testing.assert_close(closed, nested._by_differences(joint, at), atol=5e-5, rtol=1e-5)


def test_without_labels_it_is_that_of_the_prior():
    joint = _joint("davidson")
    data = joint.data
    none = replace(data, difference=data.difference[:0], outcome=data.outcome[:0], weight=data.weight[:0])
    joint = replace(joint, data=none)
    at = nested._inside(joint, joint.nuisance.start(), torch.zeros(12, dtype=torch.float64))
    prior = -torch.autograd.functional.hessian(joint.nuisance.log_prior, at.nu)
    torch.testing.assert_close(nested_curvature.nested_curvature(joint, at.nu, at.mode), prior)


def test_a_prior_that_depends_on_nuisance_parameters_has_none():
    joint = _joint("davidson")

    def prior(values):
        (any_of_them,) = values.values()
        return torch.zeros(12, dtype=torch.float64), torch.exp(any_of_them).reshape(1).expand(12)

    joint = replace(joint, prior=prior)
    at = nested._inside(joint, joint.nuisance.start(), torch.zeros(12, dtype=torch.float64))
    assert nested_curvature.nested_curvature(joint, at.nu, at.mode) is None
    closed = replace(joint, prior=GaussianPrior(torch.zeros(12).double(), torch.ones(12).double()))
    assert nested_curvature.nested_curvature(closed, at.nu, at.mode) is not None
