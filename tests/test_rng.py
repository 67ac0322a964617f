"""Random streams depend on their address alone, and the fence holds."""

from __future__ import annotations

import numpy as np
import pyro
import pytest
import torch

import bayesrm as brm
from bayesrm import rng

ADDRESSES = [
    (),
    (0,),
    (1,),
    ("a",),
    ("b",),
    ("a", 0),
    ("a", 1),
    (0, "a"),
    ("a", "b"),
    ("ab",),
    (5, 1),
    (2**32 + 5,),
]


def test_same_address_same_stream():
    rng.stream(3, "something", "else").normal(size=10)
    assert np.array_equal(rng.stream(3, "round", 2).normal(size=5), rng.stream(3, "round", 2).normal(size=5))
    assert rng.child(3, "round", 2) == rng.child(3, "round", 2)


def test_different_addresses_and_seeds_give_different_streams():
    draws = {
        (seed, *address): rng.stream(seed, *address).integers(2**62) for seed in (0, 1) for address in ADDRESSES
    }
    shared = [(a, b) for a in draws for b in draws if repr(a) < repr(b) and draws[a] == draws[b]]
    assert not shared, f"one stream at two addresses: {shared}"


def test_a_child_is_a_seed_with_a_tree_of_its_own():
    seeds = {rng.child(0, "fold", k) for k in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert rng.stream(rng.child(0, "x"), "y").random() != rng.stream(0, "x", "y").random()


def test_streams_are_the_same_in_every_process():
    """As another process found it, in which Python hashes texts otherwise."""
    assert rng.child(7, "round", 3, "pairs") == 6048626890389598925


def test_fence_restores_torch_even_after_an_error():
    before = torch.random.get_rng_state()
    with rng.fenced(5):
        inside = torch.rand(3)
    with rng.fenced(5):
        assert torch.equal(torch.rand(3), inside)
    with pytest.raises(ValueError, match="negative dimension"), rng.fenced(6):
        np.zeros(-int(torch.randint(1, 9, ())))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_fence_nests():
    with rng.fenced(1):
        alone = torch.rand(4)
    with rng.fenced(1):
        start = torch.rand(2)
        with rng.fenced(2):
            torch.rand(100)
        rest = torch.rand(2)
    assert torch.equal(torch.cat([start, rest]), alone)


def test_parameters_inside_the_fence_belong_to_their_modules():
    with rng.fenced(0):
        module = pyro.nn.PyroModule[torch.nn.Linear](2, 1)
        module.scale = pyro.nn.PyroParam(torch.tensor(1.0))
        pyro.poutine.trace(module).get_trace(torch.zeros(1, 2))
        module.scale  # noqa: B018
    assert not list(pyro.get_param_store().keys())


@pytest.mark.usefixtures("short_training")
def test_nothing_leaves_a_trace_in_global_state(world):
    pyro.get_param_store().clear()
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    model = brm.RewardModel(world.pool.dim, hidden=(4,))
    for inference in ("plugin", "laplace"):
        posterior = brm.fit(model, world.pool, world.preferences[:30], inference)
        posterior.to_datatree(draws=5)
    for design in brm.designs():
        brm.select(posterior, brm.candidates(world.pool, size=40), design, 3)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002
    assert not list(pyro.get_param_store().keys())
