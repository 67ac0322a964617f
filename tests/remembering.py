"""What answers otherwise when it is asked again, and so must not be shared by tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import bayesrm as brm


def remembers(value: Any) -> bool:
    """Whether a value, or one that it holds, goes on from call to call: an annotator, a generator, a session."""
    if isinstance(value, tuple | list):
        return any(map(remembers, value))
    if isinstance(value, dict):
        return any(map(remembers, value.values()))
    return isinstance(
        value, brm.Annotator | brm.Live | np.random.Generator | torch.Generator | random.Random | Iterator
    )
