r"""Designs that are linear in the covariance that is left: A- and V-optimality.

With A = I + Σ_C w v vᵀ in whitened coordinates and G = Σ_t τ_t t tᵀ over target directions,

    f(C) = tr G − tr G A⁻¹,        f(C ∪ {m}) − f(C) = w vᵀA⁻¹G A⁻¹v / (1 + w vᵀA⁻¹v),

the fall of the targets' summed variance. With G = R Rᵀ the numerator is the squared distance of two rows RᵀA⁻¹u, so
pairs cost no more than for D-optimality, however many targets there are (Chaloner & Verdinelli 1995). f is concave in
w, hence the certificate; it is not submodular: a gain may rise as others are added, so beyond the 20,000 candidates of
its shortlist, which is then cut anew, greedy is no longer exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.objectives.base import Batch, Differences, Objective, batch_gains, occurring
from bayesrm.design.objectives.covariance import Covariance
from bayesrm.design.objectives.information import pair_information
from bayesrm.design.objectives.screening import PairFunction, Screened, weighted_distance
from bayesrm.models.features import difference
from bayesrm.posteriors.pairs import ListedPairs, PairBlock
from bayesrm.utils.linalg import cholesky_factor


@dataclass(frozen=True)
class LinearObjective(Objective):
    """f(C) = tr G − tr G A⁻¹; see the module.

    Parameters
    ----------
    whitened
        (response, rank) rows u, one for each of the candidates' responses.
    weight
        The Fisher weight w of a pair.
    targets
        (target, rank) directions t, times √τ.
    """

    whitened: Float[Tensor, "response rank"]
    weight: PairFunction
    targets: Float[Tensor, "target rank"]

    def gradient(self, candidates: CandidateSet) -> PairFunction:
        """w vᵀA⁻¹G A⁻¹v with A that of all candidates together."""
        identity = torch.eye(self.whitened.shape[1], dtype=torch.float64, device=self.whitened.device)
        return self._slope_at(identity + pair_information(self.whitened, self.weight, candidates))

    def batch(self) -> Batch:
        """The empty batch, of covariance I."""
        return _LinearBatch(self)

    def gains(self, pairs: PairBlock) -> Float[Tensor, "pair"]:
        """The falls of tr G A⁻¹, one after the other."""
        return batch_gains(self.batch(), pairs)

    def slope(self, pairs: PairBlock) -> PairFunction:
        """w vᵀA⁻¹G A⁻¹v with A that of the batch."""
        v = difference(self.whitened, pairs.first, pairs.second)
        identity = torch.eye(v.shape[1], dtype=torch.float64, device=v.device)
        return self._slope_at(identity + (v * self.weight(pairs)[:, None]).T @ v)

    def root(self) -> Float[Tensor, "rank target"]:
        """R with G = R Rᵀ, no wider than the rank."""
        if len(self.targets) <= self.targets.shape[1]:
            return self.targets.T
        return torch.linalg.qr(self.targets, mode="r").R.T

    def _slope_at(self, information: Float[Tensor, "rank rank"]) -> PairFunction:
        rows = torch.cholesky_solve(self.whitened.T, cholesky_factor(information)).T @ self.root()
        return weighted_distance(rows.contiguous(), self.weight)


class _LinearBatch(Batch):
    """Adding v with a = A⁻¹v, c = w / (1 + w vᵀa), A⁻¹ loses c a aᵀ; both forms follow from u·a and u·A⁻¹G a."""

    def __init__(self, objective: LinearObjective) -> None:
        self._u, self._weight, self._root = objective.whitened, objective.weight, objective.root()
        self._covariance = Covariance(self._u)
        self._pairs: PairBlock = ListedPairs(*torch.empty((2, 0), dtype=torch.int64))
        self._tracked_rows = Differences(self._u, self._pairs)
        self._w = self._q = self._fall = torch.empty(0, dtype=torch.float64)

    def score(self) -> PairFunction:
        plain = self._covariance.rooted(self._u).contiguous()
        aimed = (self._u @ self._covariance.times(self._root.T).T).contiguous()
        weight = self._weight

        def gain(pairs: PairBlock) -> Tensor:
            w = weight(pairs)
            return w * pairs.squared_distance(aimed) / (1 + w * pairs.squared_distance(plain))

        bounded = weighted_distance(aimed, weight)
        return Screened(gain, bounded.bound, bounded.far) if isinstance(bounded, Screened) else gain

    def track(self, pairs: PairBlock) -> None:
        self._pairs, self._w, self._tracked_rows = pairs, self._weight(pairs), Differences(self._u, pairs)
        u, those = occurring(self._u, pairs)
        self._q = those.squared_distance(self._covariance.rooted(u))
        self._fall = those.squared_distance(u @ self._covariance.times(self._root.T).T)

    @property
    def tracked(self) -> Tensor:
        return self._w * self._fall / (1 + self._w * self._q)

    def add(self, index: int) -> None:
        self._update(index, float(self._w[index]))

    def remove(self, index: int) -> None:
        self._update(index, -float(self._w[index]))

    def _update(self, index: int, w: float) -> None:
        v = self._u[self._pairs.first[index]] - self._u[self._pairs.second[index]]
        a = self._covariance.times(v)
        c = w / (1 + w * (v @ a))
        aimed = self._root.T @ a
        along = self._tracked_rows.along(a)
        across = self._tracked_rows.along(self._covariance.times(self._root @ aimed))
        change = (c * along).square() * (aimed @ aimed) - 2 * c * along * across
        self._fall = (self._fall + change).clamp_(min=0.0)
        self._q = (self._q - c * along.square()).clamp_(min=0.0)
        self._covariance.subtract(c * torch.outer(a, a))
