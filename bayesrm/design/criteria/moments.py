r"""Representative moments: with past labels, the batch's mean squared whitened differences are those of all candidates.

Differences v_m = u_i − u_j are whitened by the posterior and turned to the principal axes of all candidates. Of a pair
count v_1², …, v_J² along the J axes of most variance, what all other axes have together, and, for its length to be
matched too, T − ‖v‖² with T the largest ‖v‖² of all candidates. These moments s_m add up to T. With μ their mean over
candidates, the batch maximises

    f(C) = Σ_j (μ_j / T) log(1 + Σ_{m∈C} s_mj / a_j),    a = μ + Σ_past s,

minus the Kullback–Leibler divergence of the moments of all that was asked from those of the candidates, which a single
question at μ starts off: see :mod:`bayesrm.design.objectives.shares`. It is what random pairs have in expectation,
without their chance. Matching the moments of the pool is what representative sampling asks for (kernel herding: Chen,
Welling & Smola 2010, for the kernel of squares); the divergence in place of a distance makes f monotone and submodular.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bayesrm import rng
from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.information import pair_information
from bayesrm.design.objectives.shares import SharesObjective, SquareMoments
from bayesrm.design.search.ranking import top
from bayesrm.posteriors.base import RewardPosterior, local_pairs
from bayesrm.posteriors.pairs import ListedPairs, PairBlock
from bayesrm.utils.checked import Count, checked

_LEAST = 1e-12
"""Axes with less than this part of the largest mean square are rounding."""


@checked
@dataclass(frozen=True)
class Moments(Criterion):
    """Representative pairs: in squares along the principal axes they are what all candidates are, past labels counted.

    Parameters
    ----------
    axes
        J.
    """

    name: ClassVar[str] = "moments"

    axes: Count = 64

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """How near the moments come to those of all candidates; no nats of information."""
        return moment_matching(posterior, candidates, self.axes)[0]


def moment_matching(
    posterior: RewardPosterior, candidates: CandidateSet, axes: int
) -> tuple[SharesObjective, float]:
    """The objective of the module, and in how many directions candidates differ: (Σ_j μ_j)² / Σ_j μ_j²."""
    rows = posterior.information_factor(candidates.pool, candidates.responses)
    if rows.shape[1] == 0:
        rows = rows.new_zeros((len(rows), 1))

    def one(pairs: PairBlock) -> Tensor:
        return torch.ones(len(pairs), dtype=pairs.dtype, device=rows.device)

    values, vectors = torch.linalg.eigh(pair_information(rows, one, candidates) / len(candidates))
    values, vectors = values.flip(0).clamp(min=0.0), vectors.flip(1)
    kept = min(axes, int((values > _LEAST * values[0]).sum()))
    turned = rows @ vectors
    farthest = top(candidates, lambda pairs: pairs.squared_distance(turned), 1, rng.stream(0, "farthest"))
    longest = float(candidates.block_at(farthest).squared_distance(turned).max())
    room = (longest - values.sum()).clamp(min=0.0)
    mean = torch.cat([values[:kept], values[kept:].sum()[None], room[None]])
    mean = torch.where(mean > _LEAST * longest, mean, 0.0)
    before = mean.clone()
    asked = posterior.preferences
    if len(asked) and longest > 0:
        responses, first, second = local_pairs(asked)
        past = SquareMoments(posterior.information_factor(posterior.pool, responses) @ vectors, kept, longest)
        before += past.of(ListedPairs(first, second)).sum(dim=0)
    before = torch.where(mean > 0, before, 1.0)
    directions = float(values.sum() ** 2 / values.square().sum().clamp(min=1e-300))
    return SharesObjective(SquareMoments(turned, kept, longest), mean, before), directions
