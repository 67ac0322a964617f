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

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective
from bayesrm.design.objectives.information import pair_information
from bayesrm.design.objectives.shares import SharesObjective
from bayesrm.design.search.ranking import top
from bayesrm.models.features import difference
from bayesrm.posteriors.base import RewardPosterior, local_pairs
from bayesrm.posteriors.pairs import ListedPairs, PairBlock

_LEAST = 1e-12
"""Axes with less than this part of the largest mean square are rounding."""


@dataclass(frozen=True)
class Moments(Criterion):
    """Representative pairs: in squares along the principal axes they are what all candidates are, past labels counted.

    Parameters
    ----------
    axes
        J.
    """

    name: ClassVar[str] = "moments"

    axes: int = 64

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """How near the moments come to those of all candidates; no nats of information."""
        return moment_matching(posterior, candidates, self.axes)[0]


def moment_matching(
    posterior: RewardPosterior, candidates: CandidateSet, axes: int
) -> tuple[SharesObjective, float]:
    """The objective of the module, and in how many directions candidates differ: (Σ_j μ_j)² / Σ_j μ_j²."""
    rows = posterior.information_factor(candidates.pool, candidates.responses)
    if rows.shape[1] == 0:
        nothing = rows.new_empty(0)
        return SharesObjective(lambda pairs: rows.new_empty((len(pairs), 0)), nothing, nothing), 0.0
    count = len(candidates)

    def one(pairs: PairBlock) -> Tensor:
        return torch.ones(len(pairs), dtype=pairs.dtype, device=rows.device)

    values, vectors = torch.linalg.eigh(pair_information(rows, one, candidates) / count)
    values, vectors = values.flip(0).clamp(min=0.0), vectors.flip(1)
    kept = min(axes, int((values > _LEAST * values[:1]).sum()))
    turned = rows @ vectors
    farthest = top(candidates, lambda pairs: pairs.squared_distance(turned), 1, rng.stream(0, "farthest"))
    longest = float(candidates.block_at(farthest).squared_distance(turned).max())
    moments = _moments(turned, kept, longest)
    rest = values[kept:].sum()
    mean = torch.cat([values[:kept], rest[None], (longest - values.sum())[None].clamp(min=0.0)])
    used = mean > _LEAST * mean.max()
    before = mean.clone()
    asked = posterior.preferences
    if len(asked):
        responses, first, second = local_pairs(asked)
        past = posterior.information_factor(posterior.pool, responses) @ vectors
        before += _moments(past, kept, longest)(ListedPairs(first, second)).sum(dim=0)
    objective = SharesObjective(lambda pairs: moments(pairs)[:, used], mean[used], before[used])
    return objective, float(values.sum() ** 2 / values.square().sum().clamp(min=1e-300))


def _moments(
    turned: Float[Tensor, "response axis"], kept: int, longest: float
) -> Callable[[ListedPairs], Float[Tensor, "pair moment"]]:
    def moments(pairs: ListedPairs) -> Tensor:
        squares = difference(turned, pairs.first, pairs.second).square()
        rest = squares[:, kept:].sum(dim=1, keepdim=True)
        room = (longest - squares.sum(dim=1, keepdim=True)).clamp(min=0.0)
        return torch.cat([squares[:, :kept], rest, room], dim=1)

    return moments
