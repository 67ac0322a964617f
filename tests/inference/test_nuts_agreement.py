"""Laplace against Pyro's own NUTS on the same model: what sampling says of the last layer."""

from __future__ import annotations

import numpy as np
import torch
from pyro.infer import MCMC, NUTS
from pyro.ops.stats import effective_sample_size

import bayesrm as brm
from bayesrm import rng

DRAWS = 800


def test_laplace_agrees_with_nuts(make_world):
    world = make_world(4, dim=5, comparisons=200)
    model = brm.RewardModel(5, encoder="linear", prior_scale=1.0)
    laplace = brm.fit(model, world.pool, world.preferences)
    first, second, outcome = (
        torch.from_numpy(getattr(world.preferences, name)) for name in ("first", "second", "outcome")
    )
    with rng.fenced(0):
        sampler = MCMC(NUTS(laplace.model.last_layer), num_samples=DRAWS, warmup_steps=150, disable_progbar=True)
        sampler.run(laplace.features(world.pool), first, second, outcome)
    beta = sampler.get_samples()["beta"]
    assert beta.shape == (DRAWS, 5)

    effective = effective_sample_size(beta[None], chain_dim=0, sample_dim=1).clamp(max=DRAWS).numpy()
    assert effective.min() > 100
    mean, sd = beta.mean(dim=0).numpy(), beta.std(dim=0).numpy()
    laplace_sd = np.sqrt(
        np.diag(np.linalg.inv((laplace.information_cholesky @ laplace.information_cholesky.T).numpy()))
    )

    # Laplace's own bias is of order d/n: with 200 labels allow a fifth of a sd in means (the mode is not the mean
    # of a skewed posterior) and 5% in sds. On top, 4 Monte Carlo standard errors of NUTS.
    assert (np.abs(laplace.location.numpy() - mean) < 4 * sd / np.sqrt(effective) + 0.2 * sd).all()
    assert (np.abs(laplace_sd / sd - 1) < 4 / np.sqrt(2 * effective) + 0.05).all()
