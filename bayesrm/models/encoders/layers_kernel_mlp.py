r"""Linear in every block of the embedding, and beside that a Gaussian process and a network: a sum of three rewards.

    r = Σ_b f_bᵀ β_b + φᵀ β_kernel + hᵀ β_mlp

with the features of :mod:`bayesrm.models.encoders.layers_kernel` and of :mod:`bayesrm.models.encoders.layers_mlp`. What
bends in many directions is the process's to say, what hangs on a few that nobody knows is the network's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bayesrm.models.encoders.kernel import MOST_FEATURES
from bayesrm.models.encoders.layers_kernel import LayersKernel, process
from bayesrm.models.encoders.layers_mlp import HIDDEN, BesideLayersAndNetwork, Network
from bayesrm.utils.checked import Count, checked


class LayersKernelMLP(BesideLayersAndNetwork):
    """Linear in every block of the embedding and in all mixed, and a Gaussian process and a network beside them.

    Parameters
    ----------
    dim : int
        The dimension p of an embedding.
    shape : str
        The kernel: "rbf" (smooth), "matern52" or "matern32" (rougher).
    features : int
        The largest number of inducing responses.
    network : tuple of int
        Sizes of the network's hidden layers.
    inputs : str
        "within-prompt", or "raw" for embeddings that are not to be standardised before.
    input_blocks : mapping of str to slice, optional
        The blocks, such as hidden layers, see ``ResponsePool.blocks``.
    """

    name: ClassVar[str] = "layers+kernel+mlp"

    @checked
    def __init__(
        self,
        dim: Count,
        shape: str = "rbf",
        features: Count = MOST_FEATURES,
        network: Sequence[Count] = HIDDEN,
        inputs: str = "within-prompt",
        input_blocks: Mapping[str, slice] | None = None,
    ) -> None:
        beside = process(dim, shape, features)
        super().__init__(dim, inputs, input_blocks, kernel=beside, network=Network(dim, network))
        self.shape, self.most = shape, features

    @property
    def settings(self) -> dict[str, Any]:
        """Shape of the kernel, the most features of it, and the network's hidden layers."""
        return {"shape": self.shape, "features": self.most, "network": list(self.network.hidden)}

    def without_network(self) -> LayersKernel:
        """Linear in every block of the embedding, and the process."""
        return LayersKernel(self.dim, self.shape, self.most, self.inputs, self.input_blocks)
