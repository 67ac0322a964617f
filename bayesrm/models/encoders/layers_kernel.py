r"""Linear in every block of the embedding, and beside that a Gaussian process on all of them: a sum of two rewards.

    r = Σ_b f_bᵀ β_b + φᵀ β_kernel

with the features f_b of :mod:`bayesrm.models.encoders.layers` and the φ of :mod:`bayesrm.models.encoders.kernel`,
each with a prior scale by evidence. What is linear is learnt from few labels; what no linear reward can say, such as
that there can be too much of something, is left to the process. Its length scale is not searched for: where rewards had
their maximum inside, the process was worth .2 of 1 − Spearman and the best length scale .02, at four times the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bayesrm.models.encoders.kernel import KERNEL, MOST_FEATURES, Kernels
from bayesrm.models.encoders.side_by_side import BesideLayers
from bayesrm.utils.checked import Count, checked

KEPT = 0.99
"""The part of the trace within prompts that features of the process keep: half of them are enough for it."""


class LayersKernel(BesideLayers):
    """Linear in every block of the embedding along its spectrum and in all mixed, and a Gaussian process beside them.

    Parameters
    ----------
    dim : int
        The dimension p of an embedding.
    shape : str
        The kernel: "rbf" (smooth), "matern52" or "matern32" (rougher).
    features : int
        The largest number of inducing responses.
    inputs : str
        "within-prompt", or "raw" for embeddings that are not to be standardised before.
    input_blocks : mapping of str to slice, optional
        The blocks, such as hidden layers, see ``ResponsePool.blocks``.
    """

    name: ClassVar[str] = "layers+kernel"

    @checked
    def __init__(
        self,
        dim: Count,
        shape: str = "rbf",
        features: Count = MOST_FEATURES,
        inputs: str = "within-prompt",
        input_blocks: Mapping[str, slice] | None = None,
    ) -> None:
        super().__init__(dim, inputs, input_blocks, kernel=process(dim, shape, features))
        self.shape, self.most = shape, features

    @property
    def settings(self) -> dict[str, Any]:
        """Shape of the kernel, and the most features of it."""
        return {"shape": self.shape, "features": self.most}


def process(dim: int, shape: str, features: int) -> Kernels:
    """The features of the process beside the layers."""
    return Kernels(shape, dim, [KERNEL], features, KEPT)
