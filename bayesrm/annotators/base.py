"""What an annotator is: whoever or whatever answers comparisons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

from bayesrm.types import Pairs, Preferences


@runtime_checkable
class SupportsLabel(Protocol):
    """The least that can answer: anything with ``label``."""

    def label(self, pairs: Pairs) -> Preferences: ...  # noqa: D102


class Annotator(ABC):
    """Answers comparisons."""

    @abstractmethod
    def label(self, pairs: Pairs) -> Preferences:
        """Answer each pair, in order."""

    def at_round(self, round_index: int) -> Annotator:
        """The annotator whose answers depend on the round only, so that a resumed run hears the same ones.

        An annotator that draws at random overrides this; others are the same in every round.
        """
        return self

    def describe(self) -> dict[str, Any]:
        """The settings that its answers depend on, as JSON-able values."""
        return {"annotator": type(self).__name__}
