"""One replay of one design: what is asked, what is held out, and its rounds; several in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike

from bayesrm import rng
from bayesrm.annotators.replay import ReplayAnnotator
from bayesrm.data.golden import as_golden
from bayesrm.data.votes import Votes
from bayesrm.design.base import Design
from bayesrm.design.candidates import candidates
from bayesrm.errors import InvalidInputError, NoCandidatesError
from bayesrm.evaluation.metrics import evaluate, log_loss
from bayesrm.evaluation.names import HEADROOM
from bayesrm.inference import fit
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.runs.measuring import headroom_of
from bayesrm.types import Preferences, ResponsePool, require_within
from bayesrm.utils.processes import holding_back_ctrl_c, worker_processes

FIRST_BATCH, GROWTH = 25, 8
"""Votes of the first rounds; later ones have an eighth of the votes so far, where that is more."""


@dataclass(frozen=True)
class Replay:
    """What is replayed, and how.

    Parameters
    ----------
    pool, votes, test, share
        What was recorded, and what is held out of it, see :func:`bayesrm.runs.replay.replay`.
    model, inference
        What is fitted.
    designs
        Name → design.
    labels
        How many votes each design has after each round.
    """

    pool: ResponsePool
    votes: Votes
    test: tuple[ResponsePool, Votes | ArrayLike] | None
    share: float
    model: RewardModel
    inference: str
    designs: dict[str, Design]
    labels: Int64[np.ndarray, "round"]

    def curve(self, design: str, seed: int) -> tuple[list[dict[str, float]], float]:
        """The metrics of each round, fewer where votes run out, and the headroom at the end; NaN where none is told."""
        world = world_of(self.pool, self.votes, self.test, self.share, seed)
        annotator = ReplayAnnotator(world.train, rng.child(seed, "votes"))
        labels = Preferences.none()
        posterior = fit(self.model, self.pool, labels, self.inference, rng.child(seed, "fit"))
        measured: list[dict[str, float]] = []
        for t, size in enumerate(np.diff(self.labels, prepend=0)):
            try:
                pairs = candidates(self.pool, pairs=annotator.pairs, exclude=labels)
            except NoCandidatesError:
                break
            child = rng.child(seed, "selection", t)
            batch = self.designs[design].select(posterior, pairs, min(int(size), len(pairs)), child)
            labels = labels.append(annotator.label(batch))
            posterior = fit(self.model, self.pool, labels, self.inference, rng.child(seed, "fit"))
            measured.append(world.measure(posterior))
        left = headroom_of(posterior, candidates(self.pool, pairs=world.train.pairs))
        return measured, left.get(HEADROOM, float("nan"))

    def curves(
        self, cells: Sequence[tuple[str, int]], workers: int
    ) -> Iterator[tuple[list[dict[str, float]], float]]:
        """The curve of each design and seed, in their order; in up to so many processes of one thread each."""
        workers = min(workers, len(cells))
        if workers <= 1:
            for design, seed in cells:
                yield self.curve(design, seed)
            return
        with worker_processes(workers, _prepare, self) as executor:
            with holding_back_ctrl_c():
                futures = [executor.submit(_curve, design, seed) for design, seed in cells]
            for future in futures:
                yield future.result()


def rounds_of(budget: int, batch_size: int | None) -> Int64[np.ndarray, "round"]:
    """How many votes there are after each round, the last with at most the budget.

    Of one size, or growing: what a vote adds falls with the number of votes, and a fit to many takes seconds.
    """
    labels = [min(budget, batch_size or FIRST_BATCH)]
    while True:
        step = batch_size or max(FIRST_BATCH, labels[-1] // GROWTH)
        if labels[-1] + step > budget:
            return np.array(labels, np.int64)
        labels.append(labels[-1] + step)


_SHARED: list[Replay] = []
"""In a worker process: what is replayed, sent once instead of with every cell."""


def _prepare(replay: Replay) -> None:
    torch.set_num_threads(1)
    _SHARED[:] = [replay]


def _curve(design: str, seed: int) -> tuple[list[dict[str, float]], float]:
    return _SHARED[0].curve(design, seed)


class World:
    """What one seed asks and is measured on.

    Parameters
    ----------
    train
        Votes that can be asked for.
    test, held_out
        The test pool and the votes on its pairs; none where only golden rewards are known.
    golden
        (response,) of the test pool, where known.
    """

    def __init__(self, train: Votes, test: ResponsePool, held_out: Votes, golden: np.ndarray | None) -> None:
        self.train, self.test, self.held_out, self.golden = train, test, held_out, golden

    def measure(self, posterior: RewardPosterior) -> dict[str, float]:
        """The metrics of a round."""
        found: dict[str, float] = {}
        if len(self.held_out):
            y = self.held_out.outcome
            p = posterior.preference_probability(self.test, self.held_out.first, self.held_out.second)
            found["vote_log_loss"] = log_loss(p, y)
            decided = y != 0.5
            if decided.any():
                right = (1 + np.sign(p[decided] - 0.5) * np.sign(y[decided] - 0.5)) / 2
                found["vote_accuracy"] = float(right.mean())
        if self.golden is not None:
            found["one_minus_spearman"] = evaluate(posterior, self.test, self.golden)["one_minus_spearman"]
        return found


def world_of(
    pool: ResponsePool,
    votes: Votes,
    test: tuple[ResponsePool, Votes | ArrayLike] | None,
    share: float,
    seed: int,
) -> World:
    """What one seed asks and is measured on: the test pool, or a share of the prompts that is held out."""
    if test is not None:
        other, known = test
        if isinstance(known, Votes):
            require_within(known, other)
            return World(votes, *_judged(other, known))
        return World(votes, other, Votes.none(), as_golden(known, len(other)))
    within = pool.group[votes.first][pool.group[votes.first] == pool.group[votes.second]]
    prompts = np.unique(within)
    if len(prompts) < 2:
        raise InvalidInputError(
            f"expected votes within at least two prompts, of which some are held out, got {len(prompts)}: give a test "
            "pool with --test"
        )
    order = rng.stream(seed, "held-out prompts").permutation(prompts)
    count = min(len(prompts) - 1, max(1, round(share * len(prompts))))
    held_out, rest = np.sort(order[:count]), np.sort(order[count:])
    rows = np.flatnonzero(np.isin(pool.group, held_out))
    own = votes.of_prompts(pool, held_out)
    moved = Votes(np.searchsorted(rows, own.first), np.searchsorted(rows, own.second), own.outcome, own.annotator)
    return World(votes.of_prompts(pool, rest), *_judged(pool.take(rows), moved))


def _judged(pool: ResponsePool, votes: Votes) -> tuple[ResponsePool, Votes, Float[np.ndarray, "response"] | None]:
    """A test pool of the responses that were voted on, its votes, and the consensus of them where it ranks any."""
    voted = np.flatnonzero(~np.isnan(votes.consensus(pool)))
    if len(voted) == 0:
        return pool, votes, None
    small = pool.take(voted)
    own = Votes(_at(voted, votes.first), _at(voted, votes.second), votes.outcome, votes.annotator)
    consensus = own.consensus(small)
    ranks = any(np.ptp(consensus[member]) > 0 for member in small.members if len(member) > 1)
    return small, own, consensus if ranks else None


def _at(rows: Int64[np.ndarray, "row"], index: Int64[np.ndarray, "vote"]) -> Int64[np.ndarray, "vote"]:
    return np.searchsorted(rows, index)
