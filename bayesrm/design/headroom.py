r"""Headroom: the least share of random pairs' labels that an unbiased design can need.

Let a design draw candidates z with density q(z), where random draws them with p(z), and let each answer count p/q, so
that the fit estimates what random pairs estimate. With the information of one random pair M = E_p w z zᵀ, the estimate
after n answers has covariance M⁻¹ (E_p (p/q) w z zᵀ) M⁻¹ / n, and the targets t, with C = E t tᵀ, the mean variance

    V(q) = E_p[(p/q) h²] / n,     h(z)² = w(z) · zᵀ Σ C Σ z,     Σ ∝ M⁻¹.

Random has V(p) = E h² / n. By Cauchy and Schwarz no q has less than V = (E h)² / n, which q ∝ p h attains, so

    headroom = (E h)² / E h²

is the share of random's labels that is needed at least for the same precision (the optimal importance sampling of
Kahn & Marshall 1953, for M-estimates). Σ is today's posterior covariance and w the expected Fisher weight: with few
labels both are those of the prior mostly. A design that does not weight its answers can need fewer where the model is
right; where it is wrong, that is what makes designs chase unusual responses.
"""

from __future__ import annotations

import torch

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.fisher_weight import fisher_weight
from bayesrm.design.objectives.targets import target_logits
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Pairs, ResponsePool
from bayesrm.utils.checked import checked

TARGETS = 4_096
"""Target pairs that stand for all pairs within prompts: C to about 2%."""


@checked
def headroom(
    posterior: RewardPosterior, candidates: CandidateSet, targets: Pairs | ResponsePool | None = None
) -> float:
    """The least share of random pairs' labels that an unbiased design can need for the same precision.

    Parameters
    ----------
    posterior : RewardPosterior
        What is known so far; it needs spread, so any but ``plugin``.
    candidates : CandidateSet
        The pairs that designs choose from, explicit or implicit.
    targets : Pairs or ResponsePool, optional
        What is to be predicted precisely: pairs of the candidates' pool, or a pool of which pairs within prompts are
        drawn. By default pairs within prompts of the candidates' pool.

    Returns
    -------
    float
        (E h)² / E h², above 0 and at most 1: .8 says that no unbiased design saves more than a fifth of the labels.

    Raises
    ------
    CapabilityError
        Where the posterior is a point.
    InvalidInputError
        Where no candidate teaches anything of a target.

    See Also
    --------
    select : Choose the pairs.
    forecast : What more labels are expected to bring.

    Examples
    --------
    >>> import numpy as np, bayesrm as brm
    >>> random = np.random.default_rng(0)
    >>> pool = brm.ResponsePool(random.standard_normal((60, 4)), np.repeat(np.arange(10), 6))
    >>> prior = brm.fit(brm.RewardModel(pool.dim, "linear"), pool, brm.Preferences.none())
    >>> 0 < brm.headroom(prior, brm.candidates(pool)) <= 1
    True
    """
    if "spread" not in posterior.provides:
        raise CapabilityError(
            f"headroom needs a posterior with spread, and {type(posterior).__name__} is a point: fit with "
            "inference='laplace'"
        )
    with torch.inference_mode():
        known = posterior.remembering(candidates.responses) if posterior.pool is candidates.pool else posterior
        whitened = known.information_factor(candidates.pool, candidates.responses)
        directions = target_logits(known, candidates, targets, TARGETS).whitened
        root = torch.linalg.qr(directions / len(directions) ** 0.5, mode="r").R.T
        rows = (whitened @ root).contiguous()
        weight = fisher_weight(known, candidates)
        total = square = 0.0
        for _, pairs in candidates.listed():
            h = (weight(pairs) * pairs.squared_distance(rows)).sqrt_()
            total, square = total + float(h.sum()), square + float(h.square().sum())
        for pairs in candidates.hidden_in_tiles():
            h = (weight(pairs) * pairs.squared_distance(rows)).sqrt_()
            total, square = total - float(h.sum()), square - float(h.square().sum())
        for tile in candidates.tiles():
            block = tile.pairs(torch.float64)
            h = tile.hide((weight(block) * block.squared_distance(rows)).sqrt_(), 0.0)
            total, square = total + float(h.sum()), square + float(h.square().sum())
    if not square > 0:
        raise InvalidInputError(
            "expected candidates whose answers teach something of the targets, got none: all logits of candidates "
            "are certain, or independent of those of the targets"
        )
    return total**2 / square / len(candidates)


def sentence(share: str, under: str) -> str:
    """Headroom in words, with what it rests on: the share, and the posterior that it is of."""
    return (
        f"Headroom: a design that stays unbiased can need no less than {share} of the labels that random pairs need "
        f"here, by (E h)²/E h² under {under} and as far as its model is right."
    )
