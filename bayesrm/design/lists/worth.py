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

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bayesrm.design.lists.information import grounded, ranking_share
from bayesrm.design.objectives.base import InformationObjective, Objective, PairFunction
from bayesrm.design.objectives.linear_optimality import LinearObjective
from bayesrm.design.objectives.target_objective import TargetObjective
from bayesrm.posteriors.pairs import ListedPairs

Rows = Int64[Tensor, "prompt response"]
"""Responses of some prompts that have as many each, as rows of the candidates' responses."""
Members = Int64[Tensor, "prompt list member"]
"""Lists of each of these prompts, as places among its responses."""
Information = Float[Tensor, "prompt list other other"]
"""F of each list."""


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
        self._covariance = torch.eye(whitened.shape[1], dtype=torch.float64, device=whitened.device)
        self._grown = False

    def information(self, rows: Rows, members: Members) -> Float[Tensor, "prompt list other other"]:
        """F of each list, in differences to its last member; the batch does not change it."""
        count = rows.shape[1]
        a, b = torch.triu_indices(count, count, 1)
        pairs = ListedPairs(rows[:, a].flatten(), rows[:, b].flatten())
        matrix = self._u.new_zeros((len(rows), count, count))
        matrix[:, a, b] = self._weight(pairs).to(matrix).view(len(rows), -1)
        matrix = matrix + matrix.mT
        at = torch.arange(len(rows))[:, None, None]
        weight = matrix[at[..., None], members[..., :, None], members[..., None, :]]
        return grounded(weight * ranking_share(self._reward[rows][at, members]))

    def gains(self, rows: Rows, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """f(batch ∪ {list}) − f(batch)."""
        return self._gains(rows, members, f, *self._spread(rows, members))

    def slopes(self, rows: Rows, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """∂f/∂(indicator of the list) at the batch: by concavity it bounds what a list adds."""
        return self._slopes(rows, members, f, *self._spread(rows, members))

    def promising(self, rows: Rows, members: Members, f: Information) -> Float[Tensor, "prompt list"] | None:
        """What orders lists nearly as their gains do, where that is much faster to compute; else None."""
        return None

    def add(self, responses: Int64[Tensor, "member"]) -> None:
        """Put a list into the batch."""
        rows, members = responses[None], torch.arange(len(responses))[None, None]
        n = _update(self.information(rows, members), self._spread(rows, members)[0])[0, 0]
        v = self._u[responses[:-1]] - self._u[responses[-1]]
        across = v @ self._covariance
        self._fall(n, across)
        self._grown = True
        self._covariance -= across.T @ n @ across

    @abstractmethod
    def _gains(
        self, rows: Rows, members: Members, f: Tensor, d: Tensor, local: Tensor
    ) -> Float[Tensor, "prompt list"]: ...

    @abstractmethod
    def _slopes(
        self, rows: Rows, members: Members, f: Tensor, d: Tensor, local: Tensor
    ) -> Float[Tensor, "prompt list"]: ...

    def _local(self, rows: Rows, u: Float[Tensor, "prompt response rank"]) -> Tensor:
        """What else is looked up for the responses of a prompt."""
        return u[..., :0]

    def _fall(self, n: Float[Tensor, "other other"], across: Float[Tensor, "other rank"]) -> None:
        """What else changes when C loses acrossᵀ N across."""

    def _spread(self, rows: Rows, members: Members) -> tuple[Float[Tensor, "prompt list other other"], Tensor]:
        """D of each list, and what is looked up."""
        u = self._u[rows]
        gram = (u @ self._covariance if self._grown else u) @ u.mT
        return _of_lists(gram, members), self._local(rows, u)


class InformationWorth(ListWorth):
    """½ log det(I + Σ Vᵀ F V) nats."""

    def _gains(self, rows: Rows, members: Members, f: Tensor, d: Tensor, local: Tensor) -> Tensor:
        return 0.5 * torch.linalg.slogdet(_one_plus(f @ d)).logabsdet

    def _slopes(self, rows: Rows, members: Members, f: Tensor, d: Tensor, local: Tensor) -> Tensor:
        return 0.5 * (f * d).sum(dim=(-1, -2))


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

    def _local(self, rows: Rows, u: Float[Tensor, "prompt response rank"]) -> Tensor:
        aimed = u @ (self._covariance @ self._root)
        return aimed @ aimed.mT

    def _gains(self, rows: Rows, members: Members, f: Tensor, d: Tensor, local: Tensor) -> Tensor:
        return (_update(f, d) * _of_lists(local, members)).sum(dim=(-1, -2))

    def _slopes(self, rows: Rows, members: Members, f: Tensor, d: Tensor, local: Tensor) -> Tensor:
        return (f * _of_lists(local, members)).sum(dim=(-1, -2))


class TargetWorth(ListWorth):
    """The fall of a loss of the variances of targets."""

    submodular = False

    def __init__(self, objective: TargetObjective, reward: Float[Tensor, "response"]) -> None:
        super().__init__(objective.whitened, objective.weight, reward)
        self._loss, self._targets = objective.loss, objective.targets
        self._aimed = objective.targets.T.clone()
        self._left = objective.targets.square().sum(dim=1)

    def _local(self, rows: Rows, u: Float[Tensor, "prompt response rank"]) -> Tensor:
        return u @ self._aimed

    def promising(self, rows: Rows, members: Members, f: Information) -> Float[Tensor, "prompt list"]:
        """tr N H with H = Σ ℓ_t x xᵀ, the gain at the prices of the batch: a list takes little off any one variance."""
        d, local = self._spread(rows, members)
        return (_update(f, d) * self._priced(members, local)).sum(dim=(-1, -2))

    def _gains(self, rows: Rows, members: Members, f: Tensor, d: Tensor, local: Tensor) -> Tensor:
        at = torch.arange(len(members))[:, None, None]
        x = local[at, members[..., :-1]] - local[at[..., 0], members[..., -1]][:, :, None]
        taken = (x * (_update(f, d) @ x)).sum(dim=-2)
        after = (self._left - taken).clamp_(min=0.0)
        return (self._loss.total(self._left) - self._loss.total(after)).clamp_(min=0.0)

    def _slopes(self, rows: Rows, members: Members, f: Tensor, d: Tensor, local: Tensor) -> Tensor:
        return (f * self._priced(members, local)).sum(dim=(-1, -2))

    def _priced(self, members: Members, local: Tensor) -> Information:
        priced = local * self._loss.price(self._left).sqrt()
        return _of_lists(priced @ priced.mT, members)

    def _fall(self, n: Float[Tensor, "other other"], across: Float[Tensor, "other rank"]) -> None:
        x = across @ self._targets.T
        self._left = (self._left - (x * (n @ x)).sum(dim=0)).clamp_(min=0.0)
        self._aimed -= across.T @ (n @ x)


def list_worth(objective: Objective, reward: Float[Tensor, "response"]) -> ListWorth | None:
    """What lists are worth to an objective of pairs; None where it is not made of a covariance."""
    if isinstance(objective, InformationObjective):
        return InformationWorth(objective.whitened, objective.weight, reward)
    if isinstance(objective, LinearObjective):
        return LinearWorth(objective.whitened, objective.weight, reward, objective.root())
    if isinstance(objective, TargetObjective):
        return TargetWorth(objective, reward)
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
    at = torch.arange(len(members))[:, None, None, None]
    own = gram[at, members[..., :, None], members[..., None, :]]
    return own[..., :-1, :-1] - own[..., :-1, -1:] - own[..., -1:, :-1] + own[..., -1:, -1:]
