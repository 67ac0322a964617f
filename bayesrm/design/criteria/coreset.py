r"""Coresets for logistic regression: pairs sampled with odds proportional to their sensitivity (Huggins et al. 2016).

With x_m = y_m z_m, y_m = ±1 the answer, the sensitivity of pair m over ‖β‖ ≤ R is at most, given k clusters G_i,

    s_m = N / (1 + Σ_i |G_i⁻| exp(−R ‖x̄_i⁻ − x_m‖)),

x̄_i⁻ and |G_i⁻| the mean and the size of a cluster without m (lemma 3.1 and algorithm 1): pairs far from all others have
the largest. As answers are not known y_m is the predicted one. Features are scaled by the prior, so R is in standard
deviations of it. Clusters come from k-means over at most 5,000 candidates, and stand for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.design.objectives.targets import candidate_pairs
from bayesrm.models.features import difference
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import with_features
from bayesrm.posteriors.pairs import PairBlock
from bayesrm.utils.checked import Count, Positive, checked

CLUSTERED = 5_000
PAIRS_AT_ONCE = 4_096


@checked
@dataclass(frozen=True)
class Coreset(Criterion):
    """The paper's coreset: pairs sampled by how far one pair can matter to a logistic regression on all of them.

    Parameters
    ----------
    radius
        R.
    clusters
        k.
    """

    name: ClassVar[str] = "coreset"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})
    default_selector: ClassVar[str] = "gradient-sample"

    radius: Positive = 3.0
    clusters: Count = 10

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Bounds on sensitivities; they are no nats."""
        posterior = with_features(posterior)
        rows = posterior.features(candidates.pool, candidates.responses) / posterior.prior_precision.sqrt()
        answers = SignedDifferences(rows, posterior.reward_moments(candidates.pool, candidates.responses).mean)
        pairs = candidate_pairs(candidates, CLUSTERED)
        local = [np.searchsorted(candidates.responses, end) for end in (pairs.first, pairs.second)]
        points = answers.of(torch.from_numpy(local[0]), torch.from_numpy(local[1]))
        centres, sizes = _clusters(points, self.clusters)
        sizes = sizes * (len(candidates) / len(points))

        def score(block: PairBlock) -> Tensor:
            parts = zip(block.first.split(PAIRS_AT_ONCE), block.second.split(PAIRS_AT_ONCE), strict=True)
            scores = [
                sensitivity(answers.of(first, second), centres, sizes, self.radius, len(candidates))
                for first, second in parts
            ]
            return torch.cat(scores) if scores else rows.new_empty(0)

        return SumObjective(score)


@dataclass(frozen=True)
class SignedDifferences:
    """Differences x = y z with y the answer that is predicted; the same for a pair and its reverse.

    Parameters
    ----------
    rows
        (response, rank) rows whose differences are z.
    mean
        (response,) mean rewards.
    """

    rows: Float[Tensor, "response rank"]
    mean: Float[Tensor, "response"]

    def of(self, first: Tensor, second: Tensor) -> Float[Tensor, "pair rank"]:
        """x of some pairs."""
        sign = torch.where(difference(self.mean, first, second) < 0, -1.0, 1.0)
        return difference(self.rows, first, second) * sign[:, None]


def sensitivity(
    x: Float[Tensor, "pair rank"],
    centres: Float[Tensor, "cluster rank"],
    sizes: Float[Tensor, "cluster"],
    radius: float,
    count: int,
) -> Float[Tensor, "pair"]:
    """N / (1 + Σ_i |G_i⁻| exp(−R ‖x̄_i⁻ − x‖)), each x taken out of the cluster of the nearest centre."""
    distance = torch.cdist(x, centres)
    own = torch.nn.functional.one_hot(distance.argmin(dim=1), len(centres)).to(x)
    # Without x its cluster's mean moves away from it: x̄⁻ − x = (x̄ − x) |G| / (|G| − 1).
    away = torch.where(own > 0, distance * sizes / (sizes - 1).clamp(min=1e-9), distance)
    others = (sizes - own).clamp(min=0.0)
    return count / (1 + (others * torch.exp(-radius * away)).sum(dim=1))


def _clusters(
    points: Float[Tensor, "pair rank"], count: int
) -> tuple[Float[Tensor, "cluster rank"], Float[Tensor, "cluster"]]:
    """Centres and sizes; no more clusters than there are different points."""
    # Imported here: all criteria are imported to list the designs, and this one takes a second.
    from sklearn.cluster import KMeans

    x = points.cpu().numpy()
    count = min(count, len(np.unique(x, axis=0)))
    labels = torch.from_numpy(KMeans(count, n_init=1, random_state=0).fit(x).labels_).long().to(points.device)
    sizes = torch.bincount(labels, minlength=count).to(points)
    total = torch.zeros((count, points.shape[1]), dtype=points.dtype, device=points.device)
    return total.index_add_(0, labels, points) / sizes[:, None], sizes
