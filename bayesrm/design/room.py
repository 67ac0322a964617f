"""How much there is to save before a label is paid for: by any choice of pairs, by asking lists, by seeing more.

- Of pairs, :func:`bayesrm.design.headroom.headroom` is the least share of random's labels that any unbiased design
  needs.
- Of lists, greedy pairs and greedy lists are chosen under today's posterior, both for information. The texts that the
  lists need for what the pairs teach, as a share of theirs, takes it that rankings are those of Plackett and Luce, that
  a text takes as long to read in a list as in a pair, and that the model is right.
- What the model sees of a response, hidden layers and covariates, is counted, not computed: what a block that nobody
  embedded would tell is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayesrm import rng
from bayesrm.design import make_design
from bayesrm.design.candidates.forming import candidates
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.headroom import headroom, sentence
from bayesrm.design.lists.groups import require_size
from bayesrm.design.lists.select import select_lists
from bayesrm.errors import BayesRMError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import Pairs, ResponsePool

PROMPTS = 200
"""Prompts that are looked at, at most."""
TEXTS = 96
"""Texts that are read in the pairs that lists are held against."""
MEMBERS = 4
MOST = 1.5
"""Lists are chosen until so many times the texts are read."""
LEVEL = 0.05
"""Closer than this to the reading of pairs, lists are said to be worth as much."""


@dataclass(frozen=True)
class Room:
    """What can be saved here.

    Parameters
    ----------
    headroom
        The least share of random pairs' labels that an unbiased design needs.
    lists
        The texts that chosen lists need for what chosen pairs teach, as a share of theirs; infinity where they need
        more than 1.5 times as many, None where lists cannot be asked.
    members
        How many responses such a list has.
    blocks, covariates
        How many blocks of embeddings, and covariates, the model sees.
    """

    headroom: float
    lists: float | None = None
    members: int = MEMBERS
    blocks: int = 1
    covariates: int = 0

    def sentences(self) -> list[str]:
        """What can be saved, and what that rests on."""
        return [self._of_pairs(), *self._of_lists(), *self._of_sight()]

    def _of_pairs(self) -> str:
        return sentence(f"{self.headroom:.0%}", "today's posterior")

    def _of_lists(self) -> list[str]:
        if self.lists is None:
            return []
        size = {3: "three", 4: "four"}.get(self.members, str(self.members))
        if self.lists < 1 - LEVEL:
            pays = f"lists are expected to pay (ask --list {self.members})"
        elif self.lists <= 1 + LEVEL:
            pays = "neither is expected to pay more"
        else:
            pays = "pairs are expected to pay more"
        reading = f"more than {MOST:.0%}" if np.isinf(self.lists) else f"{self.lists:.0%}"
        return [
            f"Lists of {size} would teach what chosen pairs teach with {reading} of the reading, if people rank as "
            f"Plackett and Luce have it and the model is right: {pays}."
        ]

    def _of_sight(self) -> list[str]:
        missing = []
        if self.blocks == 1:
            missing.append("one block of embeddings, where hidden layers are more (bayesrm embed --layers all)")
        if self.covariates == 0:
            missing.append("no covariates, such as the length of a text, which cost no label")
        if not missing:
            return []
        return [f"What the model sees may save more than what is asked; it sees {' and '.join(missing)}."]


def room(
    posterior: RewardPosterior,
    pool: ResponsePool,
    exclude: Pairs | None = None,
    targets: ResponsePool | None = None,
    seed: int = 0,
    list_size: int = MEMBERS,
) -> Room | None:
    """What can be saved; None where no pair is left to ask, or nothing can be said of what answers teach.

    Parameters
    ----------
    posterior
        What is known now.
    pool
        What is asked about.
    exclude
        Pairs that were asked.
    targets
        Responses that the model is for; default the pool.
    seed
        Of the prompts that are looked at.
    list_size
        Of how many responses lists are at most, 2 to 8; of fewer where no prompt has so many.

    Raises
    ------
    InvalidInputError
        For another ``list_size``.
    """
    require_size(list_size)
    try:
        pairs = candidates(pool, prompts=min(PROMPTS, pool.n_prompts), size=None, seed=seed, exclude=exclude)
        share = headroom(posterior, pairs, targets)
    except BayesRMError:
        return None
    lists, members = None, list_size
    while members > 2 and lists is None:
        lists = reading_of_lists(posterior, pairs, members, seed)
        members -= lists is None
    return Room(share, lists, members, len(pool.blocks), len(pool.covariates))


def reading_of_lists(posterior: RewardPosterior, pairs: CandidateSet, members: int, seed: int = 0) -> float | None:
    """Texts that chosen lists need for the information of chosen pairs, as a share of the pairs' texts.

    Infinity where it is above 1.5; None where no prompt has so many responses, or the likelihood knows no rankings. No
    more pairs are chosen than prompts have lists.
    """
    plan = make_design("pa-dopt")
    child = rng.child(seed, "reading")
    count = min(TEXTS // 2, int((np.bincount(pairs.pool.group[pairs.responses]) >= members).sum()))
    if count == 0:
        return None
    size = max(1, int(MOST * 2 * count) // members)
    try:
        of_pairs = plan.select(posterior, pairs, count, child).gain
        of_lists = select_lists(plan, posterior, pairs, size, members, child).gain
    except BayesRMError:
        return None
    return texts_for(float(of_pairs.sum()), of_lists) * members / (2 * count)


def texts_for(information: float, gains: Float[np.ndarray, "list"]) -> float:
    """How many lists of these gains, the last one in part, have so much information together."""
    total = np.concatenate([[0.0], gains.cumsum()])
    if total[-1] < information:
        return float("inf")
    return float(np.interp(information, total, np.arange(len(total))))
