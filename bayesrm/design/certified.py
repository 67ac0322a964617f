"""How far a batch is at most from the best one: a bound that is computed when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
from jaxtyping import Float

Certificate: TypeAlias = float | Callable[[], float | None] | None
"""An upper bound on the summed gain of any batch of the same size, or what computes it; None where there is none."""


class Certified:
    """What chosen pairs and chosen lists have in common; ``gain`` and ``certificate`` are fields of theirs."""

    gain: Float[np.ndarray, "chosen"]
    certificate: Certificate

    def __getstate__(self) -> dict[str, Any]:
        """What copies and other processes get: the bound as a number."""
        return vars(self) | {"certificate": self.bound}

    @property
    def bound(self) -> float | None:
        """No batch of this size has a larger summed gain; None where the design has no such bound."""
        if callable(self.certificate):
            # What it was computed from need not be kept.
            object.__setattr__(self, "certificate", self.certificate())
        return cast("float | None", self.certificate)

    @property
    def shortfall(self) -> float | None:
        """An upper bound, in nats, on how far the batch is below the best one of its size; None without a bound."""
        return None if self.bound is None else max(0.0, self.bound - float(self.gain.sum()))
