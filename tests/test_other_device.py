"""``device="cuda"``: every inference, encoder, likelihood and design computes there, with the results of the CPU.

On a machine with a GPU it is one; elsewhere tensors claim to be there (tests/other_device.py), and what PyTorch refuses
on a GPU is refused.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from other_device import OtherDevice, here

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.design.lists.selection import ListSelection
from bayesrm.design.live import Live
from bayesrm.errors import CapabilityError
from bayesrm.inference import INFERENCES
from bayesrm.inference.ensemble import Ensemble
from bayesrm.inference.nuts import Nuts
from bayesrm.models.encoders import ENCODERS
from bayesrm.models.likelihoods import LIKELIHOODS

GPU = torch.cuda.is_available()
FACTORS = {"rtol": 1e-3, "atol": 1e-4} if GPU else {"rtol": 1e-9, "atol": 1e-10}
"""Embeddings are float32, and a GPU adds in another order."""


@pytest.fixture
def there():
    """The device is in use."""
    with nullcontext() if GPU else OtherDevice():
        yield


@pytest.fixture(autouse=True)
def _short(short_training, short_variational):
    """Networks need not be good here."""


@pytest.fixture(scope="module")
def blocks(world) -> brm.ResponsePool:
    """Two blocks of an embedding and a covariate."""
    known = {"log_characters": np.linspace(-1, 1, len(world.pool))}
    blocks = {"layer-0": slice(0, 4), "layer-1": slice(4, 6)}
    return brm.ResponsePool(world.pool.embeddings, world.pool.prompt, blocks=blocks, covariates=known)


@pytest.fixture(scope="module")
def posteriors(world) -> dict[str, brm.RewardPosterior]:
    """The same fit on the CPU and on the device."""
    model = brm.RewardModel(world.pool.dim, "linear", prompt_intercept=True)
    with nullcontext() if GPU else OtherDevice():
        other = brm.fit(model, world.pool, world.preferences, device="cuda")
    return {"cpu": brm.fit(model, world.pool, world.preferences), "cuda": other}


def _inference(name: str):
    own = {"nuts": Nuts(chains=1, draws=6, warmup=4), "ensemble": Ensemble(members=3)}
    return own[name] if name in own else INFERENCES[name]()


def _use(posterior: brm.RewardPosterior, pool: brm.ResponsePool, golden: np.ndarray) -> None:
    """What is asked of a posterior; nothing may meet what is on the CPU."""
    draws = 2 * 20 if "spread" in posterior.provides else 1
    posterior.preference_probability(pool, np.arange(5), np.arange(5, 10))
    posterior.to_datatree(draws=draws)
    brm.evaluate(posterior, pool, golden)
    posterior.condition(posterior.preferences[:3])


def _members(batch: brm.Selection | ListSelection) -> np.ndarray:
    return batch.lists if isinstance(batch, ListSelection) else np.stack([batch.first, batch.second])


def _tolerance(name: str) -> dict[str, float]:
    """Training and draws carry rounding on, and a GPU draws other numbers; ten draws of a chain say little."""
    loose = {"nuts": 3.0, "svi": 0.5, "bnn": 0.5, "mc-dropout": 0.5, "ensemble": 0.05}
    return {"rtol": 0.0, "atol": loose[name]} if GPU and name in loose else FACTORS


@pytest.mark.parametrize("name", sorted(INFERENCES))
def test_every_inference_computes_there(world, there, name):
    model = brm.RewardModel(world.pool.dim, "mlp+linear", hidden=(8,), prompt_intercept=name == "laplace")
    posterior = brm.fit(model, world.pool, world.preferences[:40], _inference(name), device="cuda")
    assert next(iter(posterior.model.encoder.buffers())).device.type == "cuda"
    _use(posterior, world.pool, world.golden)
    with here():
        cpu = brm.fit(model, world.pool, world.preferences[:40], _inference(name)).reward(world.pool)
    for one, other in zip(posterior.reward(world.pool), cpu, strict=True):
        np.testing.assert_allclose(one, other, **_tolerance(name))


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_encoder_computes_there(blocks, world, there, encoder):
    model = brm.RewardModel(blocks, encoder, hidden=(8,))
    posterior = brm.fit(model, blocks, world.preferences[:40], device="cuda")
    _use(posterior, blocks, world.golden)
    with here():
        cpu = brm.fit(model, blocks, world.preferences[:40]).reward(blocks)
    for one, other in zip(posterior.reward(blocks), cpu, strict=True):
        np.testing.assert_allclose(one, other, **FACTORS)


@pytest.mark.parametrize("likelihood", [name for name in sorted(LIKELIHOODS) if name != "plackett-luce"])
def test_every_likelihood_computes_there(world, there, likelihood):
    few = world.preferences[:30]
    labels = brm.Preferences(few.first, few.second, few.outcome, annotator=np.resize(["ana", "bo"], len(few)))
    model = brm.RewardModel(world.pool.dim, "linear", likelihood=likelihood, prior_scale=1.0)
    posterior = brm.fit(model, world.pool, labels, device="cuda")
    _use(posterior, world.pool, world.golden)
    candidates = brm.candidates(world.pool, "cross-prompt", size=None)
    batch = brm.select(posterior, candidates, "bald", 5)
    with here():
        expected = brm.select(brm.fit(model, world.pool, labels), candidates, "bald", 5)
    np.testing.assert_allclose(batch.gain, expected.gain, **FACTORS)


def _with_a_bias(features, first, second, outcome=None):
    """A program of a user, who need not think of devices."""
    beta = pyro.sample("beta", dist.Normal(0.0, 1.0).expand([features.shape[-1]]).to_event(1))
    bias = pyro.sample("bias", dist.HalfNormal(torch.tensor(1.0)))
    reward = features @ beta
    with pyro.plate("comparison", len(first)):
        return pyro.sample("outcome", dist.Bernoulli(logits=reward[first] - reward[second] + bias), obs=outcome)


@pytest.mark.parametrize(
    ("name", "kind"), [("laplace", "program"), ("svi", "davidson"), ("nuts", "program"), ("nuts", "graded")]
)
def test_nuisance_parameters_are_found_there(world, there, name, kind):
    settings = {"program": _with_a_bias} if kind == "program" else {"likelihood": kind, "prior_scale": 1.0}
    model = brm.RewardModel(world.pool.dim, "linear", **settings)
    posterior = brm.fit(model, world.pool, world.preferences[:30], _inference(name), device="cuda")
    with here():
        cpu = brm.fit(model, world.pool, world.preferences[:30], _inference(name)).reward(world.pool)
    for one, other in zip(posterior.reward(world.pool), cpu, strict=True):
        np.testing.assert_allclose(one, other, **_tolerance(name))


@pytest.mark.parametrize("kind", ["all pairs", "a list", "lists of three"])
@pytest.mark.parametrize("design", sorted(CRITERIA))
def test_every_design_asks_there_what_it_asks_on_the_cpu(world, posteriors, there, design, kind):
    size = {} if kind == "lists of three" else {"size": None if kind == "all pairs" else 40}
    scope = "cross-prompt" if kind == "all pairs" else "within-prompt"
    candidates = brm.candidates(world.pool, scope, seed=1, **size)
    settings = {"list_size": 3} if kind == "lists of three" else {}
    try:
        with here():
            expected = brm.select(posteriors["cpu"], candidates, design, 6, seed=3, **settings)
    except CapabilityError as error:
        pytest.skip(str(error))
    batch = brm.select(posteriors["cuda"], candidates, design, 6, seed=3, **settings)
    np.testing.assert_allclose(batch.gain, expected.gain, **FACTORS)
    if not GPU:  # there ties may be broken in another way
        np.testing.assert_array_equal(*(_members(found) for found in (batch, expected)))
    batch.explain()


def test_one_pair_after_another_is_found_there(world, posteriors, there):
    found = {}
    for name, posterior in posteriors.items():
        live = Live(posterior, brm.candidates(world.pool, "cross-prompt", size=None), "pa-dopt")
        asked = []
        for _ in range(3):
            batch = live.next()
            asked.append((int(batch.first[0]), int(batch.second[0])))
            live.tell(brm.Preferences(batch.first, batch.second, np.ones(1)))
        found[name] = asked
    assert found["cuda"] == found["cpu"]


def test_what_is_exported_from_there_scores_on_the_cpu(world, there, tmp_path):
    model = brm.RewardModel(world.pool.dim, "mlp", hidden=(8,))
    for name in ("laplace", "ensemble"):
        posterior = brm.fit(model, world.pool, world.preferences, _inference(name), device="cuda")
        brm.save_reward_model(tmp_path / name, posterior)
        loaded = brm.load_reward_model(tmp_path / name)
        for one, other in zip(loaded.reward(world.pool.embeddings), posterior.reward(world.pool), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_diagnostics_and_a_run_work_there(world, posteriors, there, tmp_path):
    assert brm.diagnose(posteriors["cuda"])
    brm.headroom(posteriors["cuda"], brm.candidates(world.pool, "within-prompt"))
    brm.run(
        world.pool,
        brm.GoldenAnnotator(world.golden, seed=0),
        (world.pool, world.golden),
        model=brm.RewardModel(world.pool.dim, "linear"),
        design="epig",
        batch_size=5,
        rounds=2,
        prompts=5,
        candidates=30,
        device="cuda",
        out=tmp_path / "run",
    )


def test_a_copy_of_a_posterior_stays_there(posteriors, there):
    assert copy.deepcopy(posteriors["cuda"].location).device.type == "cuda"


def test_tensors_of_two_devices_do_not_meet(there):
    """The rules that the other tests lean on; a GPU has them by itself."""
    far, near = torch.zeros(3, device="cuda"), torch.ones(3)
    for meet in (
        lambda: far + near,
        lambda: torch.cat([far, near[:1]]),
        lambda: near[far.long()],
        lambda: far.numpy(),
        lambda: np.asarray(far),
        lambda: far @ near,
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"device|cuda"):
            meet()
    assert (far[near.long()] + torch.tensor(1.0)).device.type == "cuda"
    assert far.to("cpu").device.type == far.cpu().device.type == "cpu"
