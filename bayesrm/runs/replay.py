r"""Would a design have saved labels on votes that people gave already?

Recorded votes become the only answers there are: a design asks pairs that were voted on, each vote is used once, and
prompts are held out to see what was learnt. On held-out votes y ∈ {0, ½, 1} of pairs of test prompts,

    vote_log_loss = mean −y log p − (1 − y) log(1 − p),   vote_accuracy = share of decided votes on the likelier side,

and 1 − Spearman to the consensus of a response's votes, or to golden rewards where these are given. People disagree, so
no model predicts all votes: the ceiling of accuracy is how often a decided vote agrees with the majority of the other
votes on its pair (a tie among these counts half).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from operator import index
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from bayesrm.data.votes import Votes
from bayesrm.design import make_design
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.comparison import compare, early_sentence, saving_sentence
from bayesrm.evaluation.names import BASELINE, HEADROOM
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.datatree import dataset
from bayesrm.runs.replaying import FIRST_BATCH, Replay, rounds_of, world_of
from bayesrm.runs.results import write_results
from bayesrm.types import ResponsePool, require_within
from bayesrm.utils.checked import Count, Seed, checked
from bayesrm.utils.progress import bar
from bayesrm.utils.versions import versions

REPLAY_FILE = "replay.nc"


@checked
def replay(
    pool: ResponsePool,
    votes: Votes,
    test: tuple[ResponsePool, Votes | ArrayLike] | None = None,
    designs: Sequence[str] = (BASELINE, "epig"),
    budget: Count | None = None,
    batch_size: Count | None = None,
    seeds: Count | Sequence[Seed] = 3,
    model: RewardModel | None = None,
    inference: str = "laplace",
    test_share: float = 0.25,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    workers: Count = 1,
) -> xr.DataTree:
    """Replay designs on recorded votes, each vote used once.

    Parameters
    ----------
    pool : ResponsePool
        What the votes are about.
    votes : Votes
        Every recorded vote, see ``load_votes``.
    test : tuple, optional
        A test pool, with its votes or its (response,) golden rewards. Without it a share of the pool's prompts is held
        out, another one for each seed.
    designs : sequence of str
        What is compared; "random" is added where it is missing, as the others are held against it.
    budget : int, optional
        Votes that a design may use; default half of the pairs that can be asked.
    batch_size : int, optional
        Votes a round; default 25, or an eighth of the votes so far where that is more.
    seeds : int or sequence of int
        How many seeds, or which: of what is held out, the order of votes, and every random choice.
    model : RewardModel, optional
        Default ``RewardModel(pool, "auto")``.
    inference : str
        See ``fit``; the designs' need for spread decides what is possible.
    test_share : float
        The share of prompts that is held out where there is no test pool.
    out : path-like, optional
        A folder for the results.
    progress : bool
        Whether to show a progress bar on a terminal.
    workers : int
        Processes, of one thread each; with one there is no other process than this.

    Returns
    -------
    DataTree
        ``trajectory``: dimensions ``design``, ``seed``, ``round``, coordinate ``labels``; ``vote_log_loss`` and
        ``vote_accuracy`` of held-out votes, ``one_minus_spearman`` to the consensus; ``headroom``, the least share of
        random's labels that an unbiased design could need on these pairs (dimensions ``design``, ``seed``). Attributes:
        ``sentences`` (JSON, one for each design), ``ceiling`` of the accuracy.

    Raises
    ------
    InvalidInputError
        Where votes are about responses that the pool does not have, are too few, are all ties, no prompt can be held
        out, or a seed is there twice.

    See Also
    --------
    load_votes, ReplayAnnotator

    Examples
    --------
    >>> import numpy as np, bayesrm as brm
    >>> random = np.random.default_rng(0)
    >>> pool = brm.ResponsePool(random.standard_normal((48, 3)), np.repeat(np.arange(8), 6))
    >>> pairs = brm.candidates(pool)
    >>> votes = brm.Votes(pairs.first, pairs.second, random.integers(0, 2, len(pairs.first)).astype(float))
    >>> tree = brm.replay(pool, votes, designs=["random"], budget=20, batch_size=10, seeds=2, progress=False)
    >>> dict(tree["trajectory"].sizes)
    {'design': 1, 'seed': 2, 'round': 2}
    """
    chosen = [index(seed) for seed in (range(index(seeds)) if isinstance(seeds, int | np.integer) else seeds)]
    named = list(dict.fromkeys([BASELINE, *designs]))
    plans = {name: make_design(name) for name in named}
    _require_votes(votes, pool, test)
    if not chosen or not 0 < test_share < 1:
        raise InvalidInputError(
            f"expected at least one seed and a test share between 0 and 1, got {len(chosen)} seeds and {test_share}"
        )
    if len(set(chosen)) < len(chosen):
        raise InvalidInputError(f"expected different seeds, got {chosen}: a seed that is there twice counts once")
    model = RewardModel(pool, "auto") if model is None else model
    worlds = [world_of(pool, votes, test, test_share, seed) for seed in chosen]
    askable = min(len(world.train.pairs) for world in worlds)
    smallest = FIRST_BATCH if batch_size is None else batch_size
    budget = max(smallest, askable // 2) if budget is None else min(budget, askable)
    labels = rounds_of(budget, batch_size)
    replayed = Replay(pool, votes, test, test_share, model, inference, plans, labels)
    names = ["vote_log_loss", "vote_accuracy", "one_minus_spearman"]
    values = {name: np.full((len(named), len(chosen), len(labels)), np.nan) for name in names}
    left = np.full((len(named), len(chosen)), np.nan)
    places = [(d, s) for s in range(len(chosen)) for d in range(len(named))]
    curves = replayed.curves([(named[d], chosen[s]) for d, s in places], workers)
    shown = bar(curves, "Replaying votes", len(places), show=progress)
    for (d, s), (measured, left[d, s]) in zip(places, shown, strict=True):
        for t, found in enumerate(measured):
            for name, value in found.items():
                values[name][d, s, t] = value
    trajectory = dataset(
        {name: (("design", "seed", "round"), array) for name, array in values.items() if not np.isnan(array).all()}
        | ({} if np.isnan(left).all() else {HEADROOM: (("design", "seed"), left)}),
        {"design": named, "seed": chosen, "round": np.arange(len(labels)), "labels": (("round",), labels)},
    )
    sentences = _sentences(trajectory, len(votes))
    tree = xr.DataTree.from_dict({"trajectory": trajectory})
    settings = [
        {"design": name, "seed": seed, "inference": inference, "batch_size": batch_size, "budget": budget}
        for name in named
        for seed in chosen
    ]
    ceilings = [value for world in worlds if not np.isnan(value := ceiling(world.held_out))]
    tree.attrs.update(
        sentences=json.dumps(sentences, ensure_ascii=False),
        ceiling=float(np.mean(ceilings)) if ceilings else float("nan"),
        votes=len(votes),
        configurations=json.dumps(settings),
        versions=json.dumps(versions()),
    )
    if out is not None:
        write_results(tree, Path(out) / REPLAY_FILE)
    return tree


def findings(tree: xr.DataTree) -> list[str]:
    """What a replay found, in sentences: the ceiling that disagreement sets, and what each design would have saved."""
    found: list[str] = list(json.loads(tree.attrs["sentences"]).values())
    if not np.isnan(tree.attrs["ceiling"]):
        share = f"{tree.attrs['ceiling']:.0%}"
        found.insert(0, f"People agree with the majority of the others on {share} of held-out votes.")
    return found


def ceiling(votes: Votes) -> float:
    """How often a decided vote agrees with the majority of the others on its pair; NaN where none has others."""
    ends = np.sort(np.stack([votes.first, votes.second], axis=1), axis=1)
    _, pair = np.unique(ends, axis=0, return_inverse=True)
    towards = np.where(votes.first < votes.second, votes.outcome, 1 - votes.outcome) - 0.5
    pair = pair.reshape(-1)
    others = np.bincount(pair, towards)[pair] - towards
    several = (np.bincount(pair)[pair] > 1) & (towards != 0)
    agreement = (1 + np.sign(towards) * np.sign(others)) / 2
    return float(agreement[several].mean()) if several.any() else float("nan")


def _require_votes(votes: Votes, pool: ResponsePool, test: tuple[ResponsePool, Votes | ArrayLike] | None) -> None:
    require_within(votes, pool)
    if len(votes) < 2:
        raise InvalidInputError(f"expected at least two recorded votes, got {len(votes)}")
    ranked = 0 if votes.choice is None else len(votes) - len(np.unique(votes.choice))
    if ranked:
        raise InvalidInputError(
            "expected votes on pairs, each of which can be asked by itself, and some of these are rankings of lists: "
            "write the pairs that they decide with bayesrm campaign labels --to csv, and replay those"
        )
    if (votes.outcome == 0.5).all():
        raise InvalidInputError(f"expected votes that prefer one response, and all {len(votes)} are ties")
    if test is not None and test[0].dim != pool.dim:
        raise InvalidInputError(
            f"expected a test pool of embedding dimension {pool.dim}, as the pool has, got {test[0].dim}: "
            "were both embedded with the same model?"
        )


def _sentences(trajectory: xr.Dataset, votes: int) -> dict[str, str]:
    """For each design but random, what it would have saved, whether that is shown, and how it stood early on."""
    metric = "vote_log_loss" if "vote_log_loss" in trajectory else "one_minus_spearman"
    table = compare(trajectory, metric)
    told = {}
    for _, row in table.iterrows():
        if row["design"] == BASELINE:
            continue
        helps = "shown to help" if row["ratio_high"] < 1 else "not shown to help"
        sentence = f"On your {votes:,} votes, {saving_sentence(row)}: {helps}."
        if row["early_labels"] < row["labels"]:
            early = early_sentence(row)
            sentence += f" {early[0].upper()}{early[1:]}."
        told[str(row["design"])] = sentence
    return told
