"""A tree of random streams: every random choice has an address under one seed.

``stream(seed, "round", 3, "candidates")`` is always the same generator, whatever ran before it and in
whichever process, so a run repeats to the bit and can be resumed anywhere.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyro
import torch

from bayesrm.errors import InvalidInputError

_FENCE = threading.RLock()
"""Held inside of :func:`fenced` and :func:`alone`: what it guards belongs to the process, and a server has threads."""


def _sequence(seed: int, path: tuple[int | str, ...]) -> np.random.SeedSequence:
    if seed < 0:
        raise InvalidInputError(f"expected a seed of at least 0, got {seed}")
    return np.random.SeedSequence(seed, spawn_key=tuple(map(_word, path)))


def _word(part: int | str) -> int:
    """32 bits for one part of an address: a small number is itself, all else is hashed."""
    if not isinstance(part, str) and 0 <= part < 2**32:
        return int(part)
    return int.from_bytes(hashlib.sha256(str(part).encode()).digest()[:4], "big")


def stream(seed: int, *path: int | str) -> np.random.Generator:
    """The NumPy generator at an address of the tree under ``seed``."""
    return np.random.default_rng(_sequence(seed, path))


def child(seed: int, *path: int | str) -> int:
    """An integer seed at an address of the tree under ``seed``, to be the root of a tree of its own."""
    return int(_sequence(seed, path).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def alone() -> Iterator[None]:
    """One thread at a time: what Pyro does with a program passes through handlers that belong to the process."""
    with _FENCE:
        yield


@contextmanager
def fenced(seed: int) -> Iterator[None]:
    """The only place where torch's global generator and Pyro's parameter store are touched.

    Inside, the generator is seeded and parameters belong to their modules; outside, both are as before. Pyro
    samples from the global generator only, so code that runs Pyro or initialises weights runs in here.
    """
    cuda = range(torch.cuda.device_count())
    with _FENCE, torch.random.fork_rng(devices=cuda), pyro.settings.context(module_local_params=True):
        # Not torch.manual_seed, which takes a millisecond to note who called it for devices that are not there.
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed_all(seed)
        yield
