"""Simulation-based calibration of a reward over several blocks: layers along their spectra, all mixed, covariates."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.diagnostics.coverage import coverage
from bayesrm.diagnostics.draws import quantities
from bayesrm.diagnostics.sbc import calibration_verdict, simulate_calibration
from bayesrm.models.encoders.kernel import Kernel

REPLICATIONS = 60


@pytest.fixture(scope="module")
def layered() -> brm.ResponsePool:
    r = np.random.default_rng(0)
    return brm.ResponsePool(
        r.normal(size=(160, 6)).astype(np.float32) * np.array([2, 1, 0.5, 2, 1, 0.5], np.float32),
        np.repeat(np.arange(40), 4),
        blocks={"layer-0": slice(0, 3), "layer-1": slice(3, 6)},
        covariates={"log_characters": r.normal(size=160), "lines": r.normal(size=160)},
    )


@pytest.mark.parametrize("encoder", ["layers", "kernel"])
def test_laplace_over_blocks_is_calibrated(layered, encoder):
    given = Kernel(6, additive=True, features=4, input_blocks=layered.blocks) if encoder == "kernel" else encoder
    model = brm.RewardModel(layered, encoder=given)
    names = list(model.blocks)
    assert len(names) == (3 if encoder == "kernel" else 4)
    # Scales far apart: a prior scale in the wrong block would show.
    model = brm.RewardModel(
        layered, encoder=given, prior_scale=dict(zip(names, (1.2, 0.2, 0.6, 0.3), strict=False))
    )
    pairs = brm.candidates(layered, prompts=None, size=200, seed=1)
    tree = simulate_calibration(model, layered, pairs, replications=REPLICATIONS, progress=False)
    verdict = calibration_verdict(tree, "Laplace")
    assert verdict.status == "good", verdict.sentence
    pit = quantities(tree, "prior_sbc").values[0]
    at = coverage(pit.reshape(-1), np.repeat(np.arange(len(pit)), pit.shape[1])).sel(level=0.9)
    assert abs(float(at["coverage"]) - 0.9) < 4 * float(at["error"]) + 0.015
