"""What a batch has to respect: caps, a minimum of pairs within prompts, and what pairs cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayesrm.design.candidates.numbering import PairIndex
from bayesrm.errors import InvalidInputError
from bayesrm.types import ResponsePool
from bayesrm.utils.arrays import as_numbers

PairCost = Callable[[PairIndex, PairIndex], Float[np.ndarray, "pair"]]
Cost = Float[np.ndarray, "response"] | PairCost


@dataclass(frozen=True, eq=False)
class Constraints:
    """Caps on a batch, and costs.

    Parameters
    ----------
    per_prompt
        The largest number of pairs with a response to any one prompt.
    per_response
        The largest number of pairs with any one response.
    min_within
        The smallest number of pairs whose two responses answer the same prompt.
    cost
        What asking costs: one positive number for each response of the pool (its length, say), of which a pair
        costs the sum; or a function from both ends of some pairs, indices into the pool, to their positive costs.
        Selectors then rank by gain per unit of cost.

    Raises
    ------
    InvalidInputError
        Where a cap is below 1, the minimum negative, or a cost is not positive and finite.
    """

    per_prompt: int | None = None
    per_response: int | None = None
    min_within: int = 0
    cost: Cost | None = None

    def __post_init__(self) -> None:
        for name, cap in (("per_prompt", self.per_prompt), ("per_response", self.per_response)):
            if cap is not None and cap < 1:
                raise InvalidInputError(f"expected {name} of at least 1 (or None for no cap), got {cap}")
        if self.min_within < 0:
            raise InvalidInputError(f"expected min_within of at least 0, got {self.min_within}")
        if self.cost is not None and not callable(self.cost):
            cost = as_numbers("cost", self.cost)
            if cost.ndim != 1:
                raise InvalidInputError(f"expected a cost for each response, got an array of shape {cost.shape}")
            require_costs(cost)
            object.__setattr__(self, "cost", cost)

    @property
    def limited(self) -> bool:
        """Whether some batches are not allowed."""
        return self.per_prompt is not None or self.per_response is not None or self.min_within > 0

    @property
    def unrestricted(self) -> bool:
        """Whether the best batch is the best of all batches, whatever pairs cost."""
        return not self.limited and self.cost is None

    def require_possible(self, size: int) -> None:
        """InvalidInputError where no batch of this size can have the minimum."""
        if self.min_within > size:
            raise InvalidInputError(
                f"expected min_within of at most {size}, the size of a batch, got {self.min_within}"
            )

    def require_costs_of(self, pool: ResponsePool) -> None:
        """InvalidInputError where costs by response are not those of this pool."""
        if self.cost is not None and not callable(self.cost) and len(self.cost) != len(pool):
            raise InvalidInputError(
                f"expected a cost for each of the {len(pool)} responses of the pool, got {len(self.cost)}"
            )

    def __str__(self) -> str:
        caps = {
            "per_prompt": self.per_prompt,
            "per_response": self.per_response,
            "min_within": self.min_within or None,
        }
        return ", ".join(f"{name}={value}" for name, value in caps.items() if value is not None)


NO_CONSTRAINTS = Constraints()


def require_costs(cost: Float[np.ndarray, "_"]) -> None:
    """InvalidInputError where a cost is not positive and finite."""
    wrong = ~(np.isfinite(cost) & (cost > 0))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InvalidInputError(f"expected costs that are positive and finite, got {cost[at]} at {at}")
