"""What a diagnostic check is, what it is given, and what it draws on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import xarray as xr
from numpy.typing import ArrayLike

from bayesrm.diagnostics.draws import label
from bayesrm.diagnostics.finding import Finding
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Preferences, ResponsePool


@dataclass(frozen=True, eq=False)
class Subject:
    """A posterior, and what it can be held against.

    Parameters
    ----------
    tree
        The posterior as ``to_datatree`` makes it: its draws, densities and statistics.
    posterior
        The posterior itself; None where there is only its tree.
    test, temperature
        A test pool with (response,) golden rewards, and the slope that answers were given with; None without one.
    held_out
        Preferences about the posterior's own pool that it was not fitted to; None without any.
    reference
        The tree of a posterior to be believed; None without one.
    simulated
        Ranks of simulation-based calibration, in the group ``prior_sbc``; None where nothing was simulated.
    history
        The learning curve of its labels, as :func:`~bayesrm.diagnostics.history.own_history` makes it; or None.
    draws
        Posterior draws that a check takes, where it takes its own.
    seed
        Root of random choices.
    """

    tree: xr.DataTree
    posterior: RewardPosterior | None = None
    test: tuple[ResponsePool, ArrayLike] | None = None
    temperature: float = 1.0
    held_out: Preferences | None = None
    reference: xr.DataTree | None = None
    simulated: xr.DataTree | None = None
    history: xr.Dataset | None = None
    draws: int = 1024
    seed: int = 0

    @property
    def name(self) -> str:
        """What the posterior came from, as a reader knows it."""
        return label(self.tree)


@runtime_checkable
class Canvas(Protocol):
    """A figure to draw on, in the style of all figures: matplotlib's axes, and the colours to use on them."""

    blue: str
    red: str
    grey: str

    def axes(self, rows: int = 1, columns: int = 1, heights: Sequence[float] | None = None) -> Any:
        """Matplotlib's axes: one, or an array of several in a row or in a column of shared x."""


class Check(ABC):
    """A diagnostic check of a posterior.

    Attributes
    ----------
    name
        What it is called in results: the name of its group in the tree of a diagnosis.
    title, caption
        Its heading in reports, and how to read its figure, in a sentence or two.
    order
        Its place among checks of the same verdict.

    See Also
    --------
    bayesrm.diagnose : Makes every check that applies.

    Examples
    --------
    A new check: whether the draws of the reward are skewed, which a Gaussian approximation cannot be.

    >>> import numpy as np
    >>> import xarray as xr
    >>> from scipy.stats import skew
    >>> from bayesrm.diagnostics.checks import Check
    >>> from bayesrm.diagnostics.draws import flat, quantities
    >>> from bayesrm.diagnostics.finding import Finding
    >>> class Skewness(Check):
    ...     '''Whether marginal posteriors lean to one side.'''
    ...     name = "skewness"
    ...     title = "Skewness of the marginals"
    ...     caption = "One dot a quantity; beyond the lines a Gaussian would be a poor summary."
    ...     def run(self, subject):
    ...         table = quantities(subject.tree)
    ...         if table.sizes["draw"] < 100:
    ...             return Finding(self.name, "skipped", "Skewness does not apply: there are too few draws.")
    ...         values = skew(flat(table), axis=0)
    ...         data = xr.Dataset({"skewness": ("quantity", values)}, {"quantity": table["quantity"].values})
    ...         most = float(np.abs(values).max())
    ...         status = "note" if most > 1 else "good"
    ...         return Finding(self.name, status, f"Marginals have a skewness of at most {most:.2f}.", data)
    ...     def draw(self, data, canvas):
    ...         axis = canvas.axes()
    ...         axis.plot(data["skewness"], "o", color=canvas.blue)
    ...         axis.axhline(1, color=canvas.grey, linestyle="--")
    ...         axis.axhline(-1, color=canvas.grey, linestyle="--")
    ...         axis.set(xlabel="quantity", ylabel="skewness")
    """

    name: ClassVar[str]
    title: ClassVar[str]
    caption: ClassVar[str]
    order: ClassVar[int] = 100

    @abstractmethod
    def run(self, subject: Subject) -> Finding | None:
        """The verdict; None where there is nothing to hold the posterior against, and nobody expects a word of it."""

    def draw(self, data: xr.Dataset, canvas: Canvas) -> None:  # noqa: B027
        """Draw a finding's data, if there is anything to draw: ask the canvas for axes and use them."""
