"""A selection: the batch of pairs that a design chose, what each was worth, and how far the batch is from optimal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from bayesrm.design.certified import Certificate, Certified
from bayesrm.design.explanation import Explanation, explain
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Comparisons, ResponsePool, annotators_of_each
from bayesrm.utils.arrays import as_numbers
from bayesrm.utils.checked import checked


@checked
@dataclass(frozen=True, eq=False)
class Selection(Certified, Comparisons):
    """A batch of pairs that a design chose, in the order of choice.

    Parameters
    ----------
    first, second : (pair,) array_like of int
        (pair,) indices into the pool.
    gain : (pair,) ndarray of float, optional
        (pair,) what each pair added to the design's criterion when it was chosen. For information designs in
        nats: the posterior entropy that the pair is expected to remove, given the pairs before it.
    design : str, default ""
        The name of the design.
    certificate : float or callable, optional
        An upper bound on the summed gain of *any* batch of this size, where the design has one, or what computes it:
        over many candidates that takes as long as the choice, so it is done when :attr:`bound` is asked for.
    inclusion : (pair,) ndarray of float, optional
        (pair,) the probability, above 0, that each pair had of being in the batch, where it was sampled; None where
        the choice was not random. See :attr:`weight`.
    posterior : RewardPosterior, optional
    pool : ResponsePool, optional
        What it was chosen under and from, for :meth:`explain`; files do not keep them.
    annotator : (pair,) ndarray of str, optional
        Whom to ask about each pair, where annotators were given: a pair then may occur once for each of them.

    See Also
    --------
    select : Chooses one.
    Live : One pair after another.

    Examples
    --------
    >>> batch = brm.select(posterior, brm.candidates(pool), design="pa-dopt", size=5)
    >>> batch.gain.shape  # in nats
    (5,)
    >>> bool(batch.gain.sum() + batch.shortfall >= batch.bound)  # no batch of five is worth more than that
    True
    >>> table = batch.explain()
    """

    gain: Float[np.ndarray, "pair"] = field(default_factory=lambda: np.empty(0))
    design: str = ""
    certificate: Certificate = field(default=None, repr=False)
    inclusion: Float[np.ndarray, "pair"] | None = None
    posterior: RewardPosterior | None = field(default=None, repr=False)
    pool: ResponsePool | None = field(default=None, repr=False)
    annotator: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        gain = as_numbers("gain", self.gain)
        if gain.shape != self.first.shape:
            raise InvalidInputError(f"expected one gain for each of the {len(self)} pairs, got shape {gain.shape}")
        object.__setattr__(self, "gain", gain)
        if self.inclusion is not None:
            inclusion = as_numbers("inclusion", self.inclusion)
            if inclusion.shape != self.first.shape or not ((inclusion > 0) & (inclusion <= 1)).all():
                raise InvalidInputError(
                    f"expected a probability above 0 and at most 1 for each of the {len(self)} pairs as inclusion, "
                    f"got shape {inclusion.shape}"
                )
            object.__setattr__(self, "inclusion", inclusion)
        if self.annotator is not None:
            object.__setattr__(self, "annotator", annotators_of_each("pair", self.annotator, len(self)))

    @property
    def lists(self) -> np.ndarray:
        """(pair, 2) the pairs as lists of two."""
        return np.stack([self.first, self.second], axis=1)

    @property
    def texts(self) -> int:
        """How many texts are read to answer them all."""
        return 2 * len(self)

    @property
    def weight(self) -> Float[np.ndarray, "pair"]:
        """(pair,) importance weights that correct for the design's selection bias.

        Horvitz & Thompson's 1 / inclusion, scaled to average one, so that a batch counts as many answers as it has:
        ``dataclasses.replace(preferences, weight=batch.weight)``. Weights cost precision, so a well-specified model
        does better without them; a misspecified one then fits the distribution of the candidates. All ones where
        the choice was not random.
        """
        if self.inclusion is None:
            return np.ones(len(self))
        return (1 / self.inclusion) / (1 / self.inclusion).mean()

    @checked
    def explain(self, posterior: RewardPosterior | None = None, pool: ResponsePool | None = None) -> Explanation:
        """Why these pairs: a table with the probability, Fisher weight, variance and gain of each, and a projection.

        Parameters
        ----------
        posterior : RewardPosterior, optional
        pool : ResponsePool, optional
            What it was chosen under and from; only needed for a selection that was read from a file.

        Returns
        -------
        Explanation
            See :class:`bayesrm.design.explanation.Explanation`; it shows itself as a table.

        Raises
        ------
        InvalidInputError
            Where the posterior is neither known nor given.
        """
        posterior = self.posterior if posterior is None else posterior
        if posterior is None:
            raise InvalidInputError(
                "expected the posterior that these pairs were chosen under, and a selection from a file has none: "
                "give it, as in selection.explain(posterior)"
            )
        chosen_from = self.pool if pool is None else pool
        return explain(posterior, self, posterior.pool if chosen_from is None else chosen_from)
