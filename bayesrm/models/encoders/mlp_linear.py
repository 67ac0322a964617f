"""A network beside linear features: what is linear need not be learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bayesrm.models.encoders.base import Encoder
from bayesrm.models.encoders.mlp import HIDDEN, mlp_body
from bayesrm.models.encoders.with_linear import WithLinearFeatures
from bayesrm.models.spectrum import linear_features
from bayesrm.utils.checked import Count, checked


class MLPLinear(Encoder):
    """The paper's network beside linear features, with a prior scale each.

    Parameters
    ----------
    dim, inputs, input_blocks
        As of every encoder.
    hidden
        Sizes of the network's hidden layers.
    """

    name: ClassVar[str] = "mlp+linear"
    default_inputs: ClassVar[str] = "within-prompt"

    @checked
    def __init__(
        self,
        dim: Count,
        hidden: Sequence[Count] = HIDDEN,
        inputs: str = "within-prompt",
        input_blocks: Mapping[str, slice] | None = None,
    ) -> None:
        body = WithLinearFeatures("mlp", mlp_body(dim, tuple(hidden)), linear_features(dim, input_blocks))
        super().__init__(dim, body, inputs, input_blocks)
        self.hidden = tuple(hidden)

    @property
    def settings(self) -> dict[str, Any]:
        """The network's hidden layers."""
        return {"hidden": list(self.hidden)}
