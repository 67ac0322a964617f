r"""The paper's other designs as its released code computes them; its information designs are in ``paper.py``.

- ``paper-entropy`` takes the smallest |r̂_i − r̂_j|, ``paper-maxdiff`` the largest, r̂ the posterior's mean: for a
  posterior with spread ``entropy`` is that of the averaged probability, and differs.
- ``paper-coreset`` samples pairs by sensitivities over k-means clusters of z = φ_i − φ_j as it stands, not signed by
  the predicted answer nor scaled by the prior,

      s_m = N / (1 − exp(−R ‖x̄_own − z_m‖) + Σ_i |G_i| exp(−R ‖x̄_i − z_m‖)),    R = 1, ten clusters,

  after one iteration from k-means++ (the code of Huggins et al. 2016). That code samples with replacement; here no pair
  is taken twice.
- ``paper-batchbald`` is BatchBALD over 100 draws to the end of the batch, without our way out at its ceiling: the same
  pairs as ``batchbald_redux`` for as long as either enumerates, the same expectations from then on. The paper does not
  say which Bayesian network its draws came from; here they are the posterior's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.design.base import Criterion
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.criteria.batchbald import BatchBALD
from bayesrm.design.criteria.maxdiff import MaxDiff
from bayesrm.design.criteria.random import Random
from bayesrm.design.objectives.base import Objective, SumObjective
from bayesrm.design.objectives.targets import candidate_pairs
from bayesrm.models.features import difference
from bayesrm.models.likelihoods.base import binary_entropy
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import with_features
from bayesrm.posteriors.pairs import PairBlock
from bayesrm.utils.checked import Count, Positive, Seed, checked

CLUSTERED = 20_000
"""The paper's number of candidates; of a larger set, a random sample of this size is clustered."""
PAIRS_AT_ONCE = 4_096


class PaperRandom(Random):
    """Uniformly random pairs, as in the paper's code."""

    name: ClassVar[str] = "paper-random"


class PaperEntropy(Criterion):
    """Entropy sampling as the paper's code has it: the smallest differences of rewards at one point."""

    name: ClassVar[str] = "paper-entropy"
    default_selector: ClassVar[str] = "top"
    selects_itself: ClassVar[bool] = True

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """The entropy at the mean logit, which falls with |r̂_i − r̂_j|."""
        moments = posterior.reward_moments(candidates.pool, candidates.responses)
        return SumObjective(lambda pairs: binary_entropy(torch.sigmoid(moments.of(pairs).mean)))


class PaperMaxDiff(MaxDiff):
    """The largest differences of rewards at one point, as in the paper's code."""

    name: ClassVar[str] = "paper-maxdiff"


class PaperBatchBALD(BatchBALD):
    """BatchBALD over 100 draws to the end of the batch, as batchbald_redux, which the paper used, has it."""

    name: ClassVar[str] = "paper-batchbald"
    ceiling: ClassVar[float] = math.inf


@checked
@dataclass(frozen=True)
class PaperCoreset(Criterion):
    """The coreset as the paper's code has it: radius 1, ten clusters after one iteration, features as they are.

    Parameters
    ----------
    clusters, radius
        The code's K and R.
    seed
        Root of k-means++.
    """

    name: ClassVar[str] = "paper-coreset"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})
    default_selector: ClassVar[str] = "gradient-sample"

    clusters: Count = 10
    radius: Positive = 1.0
    seed: Seed = 0

    def seeded(self, seed: int) -> PaperCoreset:
        """With other starts of k-means++."""
        return replace(self, seed=seed)

    def objective(self, posterior: RewardPosterior, candidates: CandidateSet) -> Objective:
        """Sensitivities; they are no nats."""
        posterior = with_features(posterior)
        features = posterior.features(candidates.pool, candidates.responses)
        pairs = candidate_pairs(candidates, CLUSTERED)
        ends = (
            torch.from_numpy(np.searchsorted(candidates.responses, end)) for end in (pairs.first, pairs.second)
        )
        points = difference(features, *ends)
        centres, sizes = one_iteration(points, self.clusters, rng.child(self.seed, "k-means"))
        sizes = sizes * (len(candidates) / len(points))

        def score(block: PairBlock) -> Tensor:
            parts = zip(block.first.split(PAIRS_AT_ONCE), block.second.split(PAIRS_AT_ONCE), strict=True)
            z = [difference(features, first, second) for first, second in parts]
            parts_scored = [fast_sensitivity(part, centres, sizes, self.radius, len(candidates)) for part in z]
            return torch.cat(parts_scored) if z else features.new_empty(0)

        return SumObjective(score)


def one_iteration(
    points: Float[Tensor, "pair feature"], count: int, seed: int
) -> tuple[Float[Tensor, "cluster feature"], Float[Tensor, "cluster"]]:
    """Centres after one iteration from k-means++, and how many points are nearest to each."""
    # Imported here: all criteria are imported to list the designs, and this one takes a second.
    from sklearn.cluster import KMeans

    x = points.cpu().numpy()
    count = min(count, len(np.unique(x, axis=0)))
    found = KMeans(count, n_init=1, max_iter=1, random_state=seed % 2**32).fit(x)
    sizes = np.bincount(found.labels_, minlength=count)
    centres = torch.from_numpy(np.asarray(found.cluster_centers_, dtype=np.float64)).to(points)
    return centres, torch.from_numpy(sizes).to(points)


def fast_sensitivity(
    z: Float[Tensor, "pair feature"],
    centres: Float[Tensor, "cluster feature"],
    sizes: Float[Tensor, "cluster"],
    radius: float,
    count: int,
) -> Float[Tensor, "pair"]:
    """s of each pair; its own centre is the nearest."""
    near = torch.exp(-radius * torch.cdist(z, centres))
    return count / (1 - near.amax(dim=1) + near @ sizes)
