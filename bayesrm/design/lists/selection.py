"""Chosen lists: what each was worth, how far the batch is from optimal, and why these."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from bayesrm.design.certified import Certificate, Certified
from bayesrm.design.lists.explanation import ListExplanation, explain_lists
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import ResponsePool, as_lists
from bayesrm.utils.arrays import as_numbers
from bayesrm.utils.checked import checked


@checked
@dataclass(frozen=True, eq=False)
class ListSelection(Certified):
    """A batch of lists that a design chose, in the order of choice; each is asked as "rank these".

    Parameters
    ----------
    lists : (list, member) array_like of int
        (list, member) indices into the pool, each row different responses to one prompt.
    gain : (list,) ndarray of float, optional
        (list,) what each list added to the design's criterion when it was chosen, as of :class:`bayesrm.Selection`.
    design : str, default ""
        The name of the design.
    certificate : float or callable, optional
        An upper bound on the summed gain of any batch of as many lists, or what computes it.
    posterior : RewardPosterior, optional
    pool : ResponsePool, optional
        What it was chosen under and from, for :meth:`explain`; files do not keep them.

    See Also
    --------
    select : Chooses one, with ``list_size`` above 2.
    Selection : Chosen pairs.

    Examples
    --------
    >>> batch = brm.select(posterior, brm.candidates(pool), design="pa-dopt", size=5, list_size=3)
    >>> batch.lists.shape, batch.texts
    ((5, 3), 15)
    >>> ranked = annotator.label(batch)  # preferences, as the choices that the rankings are made of
    >>> table = batch.explain().table
    """

    lists: Int64[np.ndarray, "list member"]
    gain: Float[np.ndarray, "list"] = field(default_factory=lambda: np.empty(0))
    design: str = ""
    certificate: Certificate = field(default=None, repr=False)
    posterior: RewardPosterior | None = field(default=None, repr=False)
    pool: ResponsePool | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        lists = as_lists(self.lists)
        gain = as_numbers("gain", self.gain)
        if gain.shape != (len(lists),):
            raise InvalidInputError(
                f"expected one gain for each of the {len(lists)} lists, got shape {gain.shape}"
            )
        object.__setattr__(self, "lists", lists)
        object.__setattr__(self, "gain", gain)

    def __len__(self) -> int:
        return len(self.lists)

    @property
    def texts(self) -> int:
        """How many texts are read to rank them all."""
        return self.lists.size

    @checked
    def explain(
        self, posterior: RewardPosterior | None = None, pool: ResponsePool | None = None
    ) -> ListExplanation:
        """Why these lists: what the posterior knew of each member, and what each list gained.

        Parameters
        ----------
        posterior : RewardPosterior, optional
        pool : ResponsePool, optional
            What it was chosen under and from; only needed for a selection that was read from a file.

        Returns
        -------
        ListExplanation
            See :class:`bayesrm.design.lists.explanation.ListExplanation`; it shows itself as a table.

        Raises
        ------
        InvalidInputError
            Where the posterior is neither known nor given.
        """
        posterior = self.posterior if posterior is None else posterior
        if posterior is None:
            raise InvalidInputError(
                "expected the posterior that these lists were chosen under, and a selection from a file has none: give "
                "it, as in selection.explain(posterior)"
            )
        chosen_from = self.pool if pool is None else pool
        chosen_from = posterior.pool if chosen_from is None else chosen_from
        return explain_lists(posterior, self.lists, self.gain, self.design, chosen_from)

    def table(self) -> pd.DataFrame:
        """A row a list: its members and its gain."""
        columns = {f"member_{place}": column for place, column in enumerate(self.lists.T, start=1)}
        return pd.DataFrame(columns | {"gain": self.gain})
