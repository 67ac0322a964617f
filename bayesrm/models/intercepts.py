r"""A random intercept for each prompt: η = zᵀβ + b_first − b_second, b ~ Normal(0, σ_b²).

Across prompts an answer also says which prompt is the harder one. Without an intercept that reads as a property of
the responses. Within a prompt intercepts cancel. They are further features of the last layer, one-hot columns after
the encoder's, for those prompts of the pool that comparisons across prompts have touched. Any other prompt counts as
one of average difficulty: the variance of a logit across prompts leaves out what is not known of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.types import Preferences, ResponsePool


@dataclass(frozen=True, eq=False)
class PromptIntercepts:
    """The prompts of a pool that have an intercept.

    Parameters
    ----------
    pool
        The pool; the prompts of any other pool are not these.
    prompts
        (intercept,) positions in ``pool.prompts``, ascending.
    """

    pool: ResponsePool
    prompts: Int64[np.ndarray, "intercept"]

    @classmethod
    def of(cls, pool: ResponsePool, preferences: Preferences) -> PromptIntercepts:
        """Those prompts that were compared with another prompt."""
        first, second = pool.group[preferences.first], pool.group[preferences.second]
        across = first != second
        return cls(pool, np.union1d(first[across], second[across]))

    def __len__(self) -> int:
        return len(self.prompts)

    def __deepcopy__(self, memo: object) -> PromptIntercepts:
        return self  # nothing in it ever changes, and the pool is large

    def columns(
        self, pool: ResponsePool, responses: Int64[np.ndarray, "response"]
    ) -> Int64[np.ndarray, "response"]:
        """The column of each response's prompt, −1 where it has none."""
        if not pool.same_responses(self.pool) or len(self) == 0:
            return np.full(len(responses), -1)
        group = pool.group[responses]
        at = np.searchsorted(self.prompts, group).clip(max=len(self) - 1)
        return np.where(self.prompts[at] == group, at, -1)

    def mark(
        self,
        onehot: Float[Tensor, "response intercept"],
        pool: ResponsePool,
        responses: Int64[np.ndarray, "response"],
    ) -> None:
        """Write a one into the column of each response's prompt."""
        column = self.columns(pool, responses)
        row = np.flatnonzero(column >= 0)
        onehot[torch.from_numpy(row), torch.from_numpy(column[row])] = 1.0
