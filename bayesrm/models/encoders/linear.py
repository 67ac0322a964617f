"""The linear encoder: features are the prepared embeddings themselves, as in Bradley–Terry regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bayesrm.models.encoders.base import Encoder
from bayesrm.models.spectrum import linear_features
from bayesrm.utils.checked import Count, checked


class Linear(Encoder):
    """The embeddings as they are prepared: Bradley–Terry regression, with nothing to train before the last layer."""

    name: ClassVar[str] = "linear"

    @checked
    def __init__(
        self, dim: Count, inputs: str = "standardized", input_blocks: Mapping[str, slice] | None = None
    ) -> None:
        super().__init__(dim, linear_features(dim, input_blocks), inputs, input_blocks)
