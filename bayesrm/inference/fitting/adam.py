"""Adam (Kingma and Ba 2015), the steps of ``torch.optim.Adam`` to the bit, without what its class imports.

The class imports PyTorch's compiler when the first one is made, which takes 2 s of every process that trains a network;
the steps are a function of PyTorch's that needs none of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim.adam import adam

DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


@dataclass
class _Group:
    """Parameters of one step size, with decaying means of their gradients and of the squares."""

    rate: float
    parameters: list[Tensor]
    mean: list[Tensor] = field(init=False)
    square: list[Tensor] = field(init=False)
    taken: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.mean = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.square = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.taken = [torch.zeros((), dtype=torch.float32) for _ in self.parameters]


class Adam:
    """Steps along gradients, each parameter's own scaled by how large its gradients have been.

    Parameters
    ----------
    parameters
        Leaves of autograd.
    rate
        Step size.
    """

    def __init__(self, parameters: Iterable[Tensor], rate: float) -> None:
        self._groups = [_Group(rate, list(parameters))]

    def add(self, parameters: Iterable[Tensor], rate: float | None = None) -> None:
        """Further parameters; with the step size of the first ones, unless another is given."""
        self._groups.append(_Group(self._groups[0].rate if rate is None else rate, list(parameters)))

    def set_rate(self, rate: float) -> None:
        """Another step size for the first parameters."""
        self._groups[0].rate = rate

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self._groups:
            for parameter in group.parameters:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step; a parameter without a gradient stays where it is."""
        for group in self._groups:
            moved = [k for k, parameter in enumerate(group.parameters) if parameter.grad is not None]
            if not moved:
                continue
            adam(
                [group.parameters[k] for k in moved],
                [grad for k in moved if (grad := group.parameters[k].grad) is not None],
                [group.mean[k] for k in moved],
                [group.square[k] for k in moved],
                [],
                [group.taken[k] for k in moved],
                amsgrad=False,
                beta1=DECAY,
                beta2=SECOND_DECAY,
                lr=group.rate,
                weight_decay=0.0,
                eps=EPSILON,
                maximize=False,
            )
