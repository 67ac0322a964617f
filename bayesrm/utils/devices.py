"""Where new tensors are created while somebody else's code runs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch


def created_on(device: torch.device) -> AbstractContextManager[object]:
    """A context in which tensors without a device of their own, as in a Pyro program, are created on this one."""
    # On the CPU that is so already, and the context would slow every operation.
    return nullcontext() if device.type == "cpu" else cast(AbstractContextManager[object], device)
