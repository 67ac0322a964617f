"""Independent draws in four chains of equal size, and draws of rewards, for ArviZ.

Draws of an approximation have no order, so any four parts of them are chains that have mixed: summaries then have R̂
and effective sample sizes, near 1 and near the number of draws, and no warning that there is one chain only.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64
from numpy.typing import ArrayLike
from torch import Tensor

from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool, as_index

CHAINS = 4
FEWEST = 16
"""Draws below which there is one chain: R̂ of four needs four draws each."""
INDEPENDENT = "independent_draws"
"""The attribute of ``sample_stats`` that says that draws come from no Markov chain."""


def chains_for(draws: int) -> int:
    """Number of chains for independent draws: four where they divide evenly by four."""
    return CHAINS if draws >= FEWEST and draws % CHAINS == 0 else 1


def filling(draws: int) -> int:
    """The number of draws, or the next larger one that fills four chains."""
    return draws if draws < FEWEST else -(-draws // CHAINS) * CHAINS


def in_chains(draws: Tensor, chains: int) -> Tensor:
    """(1, draw, …) independent draws as (chain, draw, …)."""
    return draws.reshape(chains, draws.shape[1] // chains, *draws.shape[2:])


def chosen_responses(responses: ArrayLike, pool: ResponsePool) -> Int64[np.ndarray, "response"]:
    """Indices of responses of a pool.

    Raises
    ------
    InvalidInputError
        Where one is none, or stands there twice.
    """
    index = as_index(responses, "responses")
    if len(index) and index.max() >= len(pool):
        raise InvalidInputError(
            f"expected responses to be indices below {len(pool)}, the number of responses in the pool, got "
            f"{index.max()}"
        )
    if len(np.unique(index)) < len(index):
        raise InvalidInputError("expected different responses, got one of them twice")
    return index
