"""What a likelihood may know of comparisons besides their logits: who answered, and which belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from bayesrm.types import Preferences


@dataclass(frozen=True)
class Context:
    """Facts of each comparison; the default knows nothing, as for comparisons that nobody has answered yet.

    Parameters
    ----------
    annotator
        (comparison,) who answered, as positions in ``annotators``; None where nobody is named.
    annotators
        The different annotators, sorted.
    choice
        (comparison,) comparisons of the same number are one choice: the first was preferred to all the seconds at
        once (a stage of a ranking); None where every comparison stands for itself.
    """

    annotator: Int64[Tensor, "comparison"] | None = None
    annotators: tuple[str, ...] = ()
    choice: Int64[Tensor, "comparison"] | None = None

    @classmethod
    def of(cls, preferences: Preferences, device: torch.device) -> Context:
        """What is known of some preferences."""
        annotator, annotators, choice = None, np.empty(0, str), None
        if preferences.annotator is not None:
            annotators, codes = np.unique(np.asarray(preferences.annotator).astype(str), return_inverse=True)
            annotator = torch.from_numpy(codes.astype(np.int64)).to(device)
        if preferences.choice is not None:
            choice = torch.from_numpy(preferences.choice).to(device)
        return cls(annotator, tuple(annotators.tolist()), choice)

    def take(self, index: Int64[Tensor, "part"]) -> Context:
        """The context of some of the comparisons; annotators keep their numbers."""
        return Context(
            None if self.annotator is None else self.annotator[index],
            self.annotators,
            None if self.choice is None else self.choice[index],
        )
