"""What a likelihood may know of comparisons besides their logits: who answered, and which belong together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bayesrm.types import Preferences

NOBODY = ""
"""The annotator of a comparison that nobody in particular answered, among comparisons that have one."""


@dataclass(frozen=True)
class ChoiceSets:
    """Which comparisons are one choice, and where each stands in it.

    Parameters
    ----------
    number
        (comparison,) the choice of each, counted from 0.
    order
        (comparison,) positions of the comparisons, choice after choice.
    place
        (comparison,) how many of the same choice come before, for the comparisons in that order.
    count, longest
        The number of choices, and of comparisons in the longest.
    sign
        (comparison,) −1 in choices of the worst, else 1.
    """

    number: Int64[Tensor, "comparison"]
    order: Int64[Tensor, "comparison"]
    place: Int64[Tensor, "comparison"]
    count: int
    longest: int
    sign: Float[Tensor, "comparison"]

    @classmethod
    def of(
        cls, choice: Int64[Tensor, "comparison"], worst: Bool[Tensor, "comparison"] | None = None
    ) -> ChoiceSets:
        """From any numbers, the same for comparisons of one choice, and which are choices of the worst."""
        _, number, sizes = torch.unique(choice, return_inverse=True, return_counts=True)
        order = torch.argsort(number, stable=True)
        start = sizes.cumsum(0) - sizes
        place = torch.arange(len(choice), device=choice.device) - start[number[order]]
        sign = torch.ones(len(choice), dtype=torch.float64, device=choice.device)
        if worst is not None:
            sign[worst] = -1.0
        return cls(number, order, place, len(sizes), int(sizes.max()) if len(sizes) else 0, sign)


@dataclass(frozen=True)
class Context:
    """Facts of each comparison; the default knows nothing, as for comparisons that nobody has answered yet.

    Parameters
    ----------
    annotator
        (comparison,) who answered, as positions in ``annotators``, −1 for nobody in particular; None where nobody
        is named.
    annotators
        The different annotators, sorted.
    choice
        (comparison,) comparisons of the same number are one choice: the first was preferred to all the seconds at
        once (a stage of a ranking); None where every comparison stands for itself.
    worst
        (comparison,) whether it belongs to a choice of the worst, in which all the seconds were preferred to the first;
        None where there are none.
    """

    annotator: Int64[Tensor, "comparison"] | None = None
    annotators: tuple[str, ...] = ()
    choice: Int64[Tensor, "comparison"] | None = None
    worst: Bool[Tensor, "comparison"] | None = None

    @classmethod
    def of(cls, preferences: Preferences, device: torch.device) -> Context:
        """What is known of some preferences."""
        annotator, annotators, choice, worst = None, np.empty(0, str), None, None
        if preferences.annotator is not None:
            annotators, codes = np.unique(np.asarray(preferences.annotator).astype(str), return_inverse=True)
            if len(annotators) and annotators[0] == NOBODY:
                annotators, codes = annotators[1:], codes - 1
            annotator = torch.from_numpy(codes.astype(np.int64)).to(device)
        if preferences.choice is not None:
            choice = torch.from_numpy(preferences.choice).to(device)
            _, number, sizes = np.unique(preferences.choice, return_inverse=True, return_counts=True)
            turned = (sizes[number] > 1) & (preferences.outcome == 0)
            worst = torch.from_numpy(turned).to(device) if turned.any() else None
        return cls(annotator, tuple(annotators.tolist()), choice, worst)

    def take(self, index: Int64[Tensor, "part"]) -> Context:
        """The context of some of the comparisons; annotators keep their numbers."""
        return Context(
            None if self.annotator is None else self.annotator[index],
            self.annotators,
            None if self.choice is None else self.choice[index],
            None if self.worst is None else self.worst[index],
        )

    @cached_property
    def choice_sets(self) -> ChoiceSets | None:
        """Which comparisons are one choice; None where every one stands for itself."""
        return None if self.choice is None else ChoiceSets.of(self.choice, self.worst)

    @property
    def has_rankings(self) -> bool:
        """Whether some comparisons are one choice together."""
        return self.choice_sets is not None and self.choice_sets.longest > 1

    def of_each(
        self, value: Float[Tensor, "annotator"] | None, typical: Float[Tensor, ""]
    ) -> Float[Tensor, "*comparison"]:
        """The value of each comparison's annotator; the typical one where nobody is named, or nobody is known."""
        if self.annotator is None or value is None:
            return typical
        # Nobody is −1, the last.
        return torch.cat([value, typical.to(value)[None]])[self.annotator]
