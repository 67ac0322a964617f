r"""What a list adds to a batch of lists, for the designs that are made of a posterior's covariance.

With V the whitened differences of a list's responses to its last one, F the information of a ranking in them, and C the
covariance that the batch has left, let D = V C Vᵀ and N = F (I + D F)⁻¹. Adding the list takes (V C)ᵀ N (V C) off C, so

- information gains ½ log det(I + F D) nats;
- the summed variance of targets, tr R Rᵀ C, falls by tr N H with H = V C R Rᵀ C Vᵀ;
- the variance of each target t falls by xᵀN x with x = V C t, and any loss of these variances accordingly.

For a list of two N = w / (1 + w vᵀC v), the update that batches of pairs are made of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.design.lists.information import entries, grounded, ranking_share
from bayesrm.design.objectives.base import InformationObjective, Objective
from bayesrm.design.objectives.covariance import Covariance
from bayesrm.design.objectives.linear_optimality import LinearObjective
from bayesrm.design.objectives.screening import PairFunction
from bayesrm.design.objectives.shares import SharesObjective
from bayesrm.design.objectives.target_objective import TargetObjective
from bayesrm.posteriors.pairs import ListedPairs, PairBlock

Members = Int64[Tensor, "prompt list member"]
"""Lists of each of some prompts, as places among its responses."""
Information = Float[Tensor, "prompt list other other"]
"""F of each list."""


@dataclass
class Prompts:
    """Some prompts as a batch sees them.

    Parameters
    ----------
    rows
        (prompt, response) rows of the candidates' responses.
    gram
        (prompt, response, response) covariances U C Uᵀ that the batch has left.
    aimed
        (prompt, response, target) what a worth with targets looks up, else of width 0.
    weights
        (prompt, response, response) Fisher weights, once they were computed.
    """

    rows: Int64[Tensor, "prompt response"]
    gram: Float[Tensor, "prompt response response"]
    aimed: Float[Tensor, "prompt response target"]
    weights: Float[Tensor, "prompt response response"] | None = None


class ListWorth(ABC):
    """What lists add to a growing batch.

    Parameters
    ----------
    whitened
        (response, rank) rows u of the candidates' responses.
    weight
        The Fisher weight of a pair.
    reward
        (response,) mean rewards.
    """

    submodular = True
    """Whether what a list adds never rises as others are added."""

    def __init__(
        self, whitened: Float[Tensor, "response rank"], weight: PairFunction, reward: Float[Tensor, "response"]
    ) -> None:
        self._u, self._weight, self._reward, self.device = whitened, weight, reward, whitened.device
        self._covariance = Covariance(whitened)

    def look_at(self, rows: Int64[Tensor, "prompt response"]) -> Prompts:
        """Prompts of as many responses each, as the batch is now."""
        u = self._u[rows]
        return Prompts(rows, self._covariance.times(u) @ u.mT, self._aim(u))

    def weights(self, prompts: Prompts) -> Float[Tensor, "prompt response response"]:
        """The Fisher weight of each pair; the diagonal is zero."""
        rows = prompts.rows
        a, b = torch.triu_indices(rows.shape[1], rows.shape[1], 1)
        pairs = ListedPairs(rows[:, a].flatten(), rows[:, b].flatten())
        weights = torch.zeros_like(prompts.gram)
        weights[:, a, b] = self._weight(pairs).to(prompts.gram).view(len(rows), -1)
        return weights + weights.mT

    def information(self, prompts: Prompts, members: Members) -> Information:
        """F of each list, in differences to its last member; the batch does not change it."""
        if prompts.weights is None:
            prompts.weights = self.weights(prompts)
        weight = _among(prompts.weights, members)
        line = torch.zeros((), dtype=torch.int64).expand_as(members)
        reward = entries(self._reward[prompts.rows][:, None], line, members)
        return grounded(weight * ranking_share(reward))

    @abstractmethod
    def gains(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """f(batch ∪ {list}) − f(batch)."""

    @abstractmethod
    def slopes(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """∂f/∂(indicator of the list) at the batch: by concavity it bounds what a list adds."""

    def promising(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"] | None:
        """What orders lists nearly as their gains do, where that is much faster to compute; else None."""
        return None

    def add(self, responses: Int64[Tensor, "member"], f: Float[Tensor, "other other"] | None = None) -> None:
        """Put a list into the batch, with the information of a ranking or with another one."""
        prompts, members = self.look_at(responses[None]), torch.arange(len(responses))[None, None]
        told = self.information(prompts, members) if f is None else f[None, None]
        n = _update(told, _of_lists(prompts.gram, members))[0, 0]
        across = self._covariance.times(self._u[responses[:-1]] - self._u[responses[-1]])
        self._fall(n, across)
        self._covariance.subtract(across.T @ n @ across)

    def _aim(self, u: Float[Tensor, "prompt response rank"]) -> Float[Tensor, "prompt response target"]:
        """What else is looked up for the responses of a prompt."""
        return u[..., :0]

    def _fall(self, n: Float[Tensor, "other other"], across: Float[Tensor, "other rank"]) -> None:
        """What else changes when C loses acrossᵀ N across: nothing, where nothing else is kept."""
        return


class InformationWorth(ListWorth):
    """½ log det(I + Σ Vᵀ F V) nats."""

    def gains(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """½ log det(I + F D)."""
        return 0.5 * torch.linalg.slogdet(_one_plus(f @ _of_lists(prompts.gram, members))).logabsdet

    def slopes(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """½ tr F D."""
        return 0.5 * (f * _of_lists(prompts.gram, members)).sum(dim=(-1, -2))


class LinearWorth(ListWorth):
    """The fall of tr R Rᵀ C."""

    submodular = False

    def __init__(
        self,
        whitened: Float[Tensor, "response rank"],
        weight: PairFunction,
        reward: Float[Tensor, "response"],
        root: Float[Tensor, "rank target"],
    ) -> None:
        super().__init__(whitened, weight, reward)
        self._root = root

    def gains(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """tr N H."""
        n = _update(f, _of_lists(prompts.gram, members))
        return (n * self._aimed_at(prompts, members)).sum(dim=(-1, -2))

    def slopes(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """tr F H."""
        return (f * self._aimed_at(prompts, members)).sum(dim=(-1, -2))

    def _aim(self, u: Float[Tensor, "prompt response rank"]) -> Float[Tensor, "prompt response target"]:
        return u @ self._covariance.times(self._root.T).T

    def _aimed_at(self, prompts: Prompts, members: Members) -> Information:
        """H."""
        return _of_lists(prompts.aimed @ prompts.aimed.mT, members)


class TargetWorth(ListWorth):
    """The fall of a loss of the variances of targets."""

    submodular = False

    def __init__(self, objective: TargetObjective, reward: Float[Tensor, "response"]) -> None:
        super().__init__(objective.whitened, objective.weight, reward)
        self._loss, self._targets = objective.loss, objective.targets
        self._across = objective.targets.T.clone()
        self._left = objective.targets.square().sum(dim=1)

    def gains(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """The fall of the loss."""
        at = torch.arange(len(members))[:, None, None]
        x = prompts.aimed[at, members[..., :-1]] - prompts.aimed[at[..., 0], members[..., -1]][:, :, None]
        taken = (x * (_update(f, _of_lists(prompts.gram, members)) @ x)).sum(dim=-2)
        after = (self._left - taken).clamp_(min=0.0)
        return (self._loss.total(self._left) - self._loss.total(after)).clamp_(min=0.0)

    def promising(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """tr N H with H = Σ ℓ_t x xᵀ, the gain at the prices of the batch: a list takes little off any one variance."""
        n = _update(f, _of_lists(prompts.gram, members))
        return (n * self._priced(prompts, members)).sum(dim=(-1, -2))

    def slopes(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """tr F H."""
        return (f * self._priced(prompts, members)).sum(dim=(-1, -2))

    def _aim(self, u: Float[Tensor, "prompt response rank"]) -> Float[Tensor, "prompt response target"]:
        return u @ self._across

    def _priced(self, prompts: Prompts, members: Members) -> Information:
        priced = prompts.aimed * self._loss.price(self._left).sqrt()
        return _of_lists(priced @ priced.mT, members)

    def _fall(self, n: Float[Tensor, "other other"], across: Float[Tensor, "other rank"]) -> None:
        x = across @ self._targets.T
        self._left = (self._left - (x * (n @ x)).sum(dim=0)).clamp_(min=0.0)
        self._across -= across.T @ (n @ x)


class SharesWorth(ListWorth):
    """How well squared differences match their means: of a list those of its pairs, each times its share ρ."""

    def __init__(self, objective: SharesObjective, reward: Float[Tensor, "response"]) -> None:
        rows = objective.moments.rows

        def alike(pairs: PairBlock) -> Tensor:
            return torch.ones(len(pairs), dtype=rows.dtype, device=rows.device)

        super().__init__(rows, alike, reward)
        self._moments, self._share = objective.moments, objective.share
        self._sums = objective.before.clone()

    def gains(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """Σ_j (μ_j / T) log(1 + s_j / S_j)."""
        return torch.log1p(self._squares(prompts, members, f) / self._sums) @ self._share

    def slopes(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """Σ_j (μ_j / T) s_j / S_j."""
        return self._squares(prompts, members, f) @ (self._share / self._sums)

    def add(self, responses: Int64[Tensor, "member"], f: Float[Tensor, "other other"] | None = None) -> None:
        """Count its moments."""
        prompts, members = self.look_at(responses[None]), torch.arange(len(responses))[None, None]
        told = self.information(prompts, members) if f is None else f[None, None]
        self._sums = self._sums + self._squares(prompts, members, told)[0, 0]

    def _squares(self, prompts: Prompts, members: Members, f: Information) -> Float[Tensor, "prompt list moment"]:
        """Σ_{i<j} ρ_ij s_ij, where Σ_{i<j} ρ_ij = (1ᵀF 1 + tr F) / 2 and Σ_{i<j} ρ_ij v_ij v_ijᵀ = Vᵀ F V."""
        at = torch.arange(len(members))[:, None, None]
        u = self._u[:, : self._moments.leading][prompts.rows]
        v = u[at, members[..., :-1]] - u[at[..., 0], members[..., -1]][:, :, None]
        squares = (v * (f @ v)).sum(dim=-2).clamp(min=0.0)
        length = (f * _of_lists(prompts.gram, members)).sum(dim=(-1, -2))
        pairs = (f.sum(dim=(-1, -2)) + f.diagonal(dim1=-2, dim2=-1).sum(dim=-1)) / 2
        rest = (length - squares.sum(dim=-1)).clamp(min=0.0)
        room = (pairs * self._moments.longest - length).clamp(min=0.0)
        return torch.cat([squares, rest[..., None], room[..., None]], dim=-1)


def list_worth(objective: Objective, reward: Float[Tensor, "response"]) -> ListWorth | None:
    """What lists are worth to an objective of pairs; None where it is made of neither a covariance nor of squares."""
    if isinstance(objective, InformationObjective):
        return InformationWorth(objective.whitened, objective.weight, reward)
    if isinstance(objective, LinearObjective):
        return LinearWorth(objective.whitened, objective.weight, reward, objective.root())
    if isinstance(objective, TargetObjective):
        return TargetWorth(objective, reward)
    if isinstance(objective, SharesObjective):
        return SharesWorth(objective, reward)
    return None


def _update(
    f: Float[Tensor, "*list other other"], d: Float[Tensor, "*list other other"]
) -> Float[Tensor, "*list other other"]:
    """N = F (I + D F)⁻¹ = (I + F D)⁻¹ F."""
    n = torch.linalg.solve(_one_plus(f @ d), f)
    return (n + n.mT) / 2


def _one_plus(matrix: Float[Tensor, "*list other other"]) -> Float[Tensor, "*list other other"]:
    matrix.diagonal(dim1=-2, dim2=-1).add_(1.0)
    return matrix


def _of_lists(gram: Float[Tensor, "prompt response response"], members: Members) -> Information:
    """For each list the Gram matrix of differences to its last member, from that of a prompt's responses."""
    own = _among(gram, members)
    return own[..., :-1, :-1] - own[..., :-1, -1:] - own[..., -1:, :-1] + own[..., -1:, -1:]


def _among(
    matrix: Float[Tensor, "prompt response response"], members: Members
) -> Float[Tensor, "prompt list member member"]:
    """The entries of each list's members."""
    return entries(matrix, members[..., :, None], members[..., None, :])
