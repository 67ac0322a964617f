"""A network beside linear features: what is linear need not be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from bayesrm.models.encoders.base import Encoder
from bayesrm.models.encoders.mlp import HIDDEN, mlp_body
from bayesrm.models.encoders.with_linear import WithLinearFeatures


class MLPLinear(Encoder):
    """The paper's network beside linear features, with a prior scale each.

    Parameters
    ----------
    dim, inputs
        As of every encoder.
    hidden
        Sizes of the network's hidden layers.
    """

    name: ClassVar[str] = "mlp+linear"
    default_inputs: ClassVar[str] = "within-prompt"

    def __init__(self, dim: int, hidden: Sequence[int] = HIDDEN, inputs: str = "within-prompt") -> None:
        super().__init__(dim, WithLinearFeatures("mlp", mlp_body(dim, tuple(hidden)), dim), inputs)
        self.hidden = tuple(hidden)

    @property
    def settings(self) -> dict[str, Any]:
        """The network's hidden layers."""
        return {"hidden": list(self.hidden)}
