r"""Fisher weights of candidate pairs under a posterior: E w(η), and w at η̂ for a point, which has no spread.

In a tile of pairs no exponential is taken under Bradley–Terry. At a point, with a_i = exp(r_i),

    w = p(1 − p) = a_i a_j / (a_i + a_j)².

It is a function of r_i − r_j alone, ¼ sech²((r_i − r_j)/2) with the Fourier transform πω / sinh πω, and so a sum of
waves that falls off exponentially in their number: cos ω(r_i − r_j) is a product of rows (cos ωr, sin ωr).

Under a Gaussian logit of mean m and variance s², with t = 1 + π s²/8 as in MacKay (1992) and x = m²/t,

    E w(η) ≤ 1.1 / (√t (4 + x + x²/12 + x³/360)),

whose denominator begins the series of 2 + 2 cosh √x. The bound is between exact and a quarter too high for |m| < 5 and
s² < 4, and decides which pairs are worth their exact weight. At m = 0, where E w is largest, it falls with s².
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.screening import PairFunction, PairWeight, SpreadCap
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.likelihoods.plackett_luce import PlackettLuce
from bayesrm.posteriors.base import RewardMoments, RewardPosterior
from bayesrm.posteriors.pairs import PairBlock, Scratch, TiledPairs

WIDEST_ODDS = 40.0
"""Rewards up to so far from their middle have odds whose products and squares exist in single precision."""
FASTEST_WAVE = 10.5
"""Waves of this frequency have an amplitude of 3e-13."""
WIDEST_WEIGHT = 30.0
"""Differences of rewards at which the weight is 1e-13: waves may repeat themselves so much farther out."""
WIDEST_MEAN = WIDEST_VARIANCE = 1e4
"""Up to here single precision leaves the bound on E w within its margin."""
MOST_ROUNDED_UP = 1e-3
"""What variances may be rounded up by: the bound falls by less than this part of it, for |d log w / d log t| ≤ ½."""


def fisher_weight(posterior: RewardPosterior, candidates: CandidateSet) -> PairWeight:
    """The posterior mean of the Fisher weight of candidate pairs, with upper bounds."""
    moments = posterior.reward_moments(candidates.pool, candidates.responses)
    likelihood = posterior.likelihood

    def weight(pairs: PairBlock) -> Tensor:
        return moments.of(pairs).fisher_weight(likelihood)

    largest = _largest_weight(likelihood)
    if type(likelihood) not in (BradleyTerry, PlackettLuce) or moments.draws is not None:
        return PairWeight(weight, largest)
    reward = moments.mean - (moments.mean.max() + moments.mean.min()) / 2
    reach = float(reward.abs().max())
    if moments.factor.shape[1] == 0:
        return _at_a_point(reward, weight, largest) if reach <= WIDEST_ODDS else PairWeight(weight, largest)
    variance = float((moments.factor - moments.factor.mean(dim=0)).square().sum(dim=1).max())
    if reach > WIDEST_MEAN or variance > WIDEST_VARIANCE:
        return PairWeight(weight, largest)
    rounded_up = 4 * (moments.factor.shape[1] + 8) * torch.finfo(torch.float32).eps * variance
    cap = _spread_cap(moments, largest) if rounded_up < MOST_ROUNDED_UP else None
    return PairWeight(weight, largest, lambda tile: gaussian_bound(moments, tile, 1 / largest), cap)


def _spread_cap(moments: RewardMoments, largest: float) -> SpreadCap:
    """The same bound where variances are at hand."""
    scale = 1.1 * (1 + MOST_ROUNDED_UP) / largest

    def share(variance: Tensor, squared_mean: Tensor) -> Tensor:
        return _bound(variance, squared_mean, scale)

    def least(product: float) -> float:
        # s² c/√(1 + π s²/8) = product, solved for s²; less what single precision may lose.
        c, a = scale / 4, math.pi / 8 * product**2
        return (1 - 1e-5) * (a + math.sqrt(a**2 + (2 * c * product) ** 2)) / (2 * c**2)

    return SpreadCap(moments.factor, moments.mean, share, least)


def _at_a_point(reward: Float[Tensor, "response"], listed: PairFunction, largest: float) -> PairWeight:
    odds, scratch = reward.exp(), Scratch()

    def tiled(tile: TiledPairs, scale: float = 1.0) -> Tensor:
        left, right = tile.ends(odds)
        total = torch.add(left, right, out=scratch.tile(tile, left))
        return total.square_().reciprocal_().mul_(scale * left).mul_(right).flatten()

    def weight(pairs: PairBlock) -> Tensor:
        return tiled(pairs) if isinstance(pairs, TiledPairs) else listed(pairs)

    def waves(responses: Tensor) -> Tensor:
        return weight_waves(reward.index_select(0, responses.to(reward.device)), 2 * float(reward.abs().max()))

    return PairWeight(weight, largest, lambda tile: tiled(tile, (1 + 1e-5) / largest), waves=waves)


def weight_waves(reward: Float[Tensor, "response"], widest: float) -> Float[Tensor, "response wave"]:
    """Rows g with p(1 − p) = g_i · g_j to 1e-11, for differences of rewards up to the widest."""
    period = widest + WIDEST_WEIGHT
    count = math.ceil(FASTEST_WAVE * period / (2 * math.pi))
    omega = torch.arange(1, count + 1, dtype=reward.dtype, device=reward.device) * (2 * math.pi / period)
    root = (2 * math.pi * omega / torch.sinh(math.pi * omega) / period).sqrt()
    phase = reward[:, None] * omega
    still = torch.full_like(reward, period**-0.5)[:, None]
    return torch.cat([still, root * phase.cos(), root * phase.sin()], dim=1)


def gaussian_bound(moments: RewardMoments, tile: TiledPairs, scale: float = 1.0) -> Float[Tensor, "pair"]:
    """The upper bound on E w(η) under a Gaussian logit, times ``scale``."""
    logits = moments.of(tile)
    return _bound(logits.variance, logits.mean.square_(), 1.1 * scale)


def _bound(
    variance: Float[Tensor, "pair"], squared_mean: Float[Tensor, "pair"], scale: float
) -> Float[Tensor, "pair"]:
    """scale / (√t (4 + x + x²/12 + x³/360)); what it is given is overwritten."""
    t = variance.mul_(math.pi / 8).add_(1.0)
    x = squared_mean.div_(t)
    series = (x / 360).add_(1 / 12).mul_(x).add_(1.0).mul_(x).add_(4.0)
    return series.mul_(t.sqrt_()).reciprocal_().mul_(scale)


def _largest_weight(likelihood: Likelihood) -> float:
    """The maximum of w over η on a grid so fine that nothing rises by a thousandth between its points."""
    grid = torch.linspace(-30.0, 30.0, 12_001, dtype=torch.float64)
    return 1.001 * float(likelihood.fisher_weight(grid).max())
