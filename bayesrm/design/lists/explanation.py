"""Why these lists: what a posterior knew of each member, and what a list gained when it was chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64

from bayesrm.design.explanation import FIGURES, shortened
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.types import ResponsePool
from bayesrm.utils.wording import counted


@dataclass(frozen=True, eq=False)
class ListExplanation:
    """Lists with the reasons for them.

    Parameters
    ----------
    table
        A row a member, indexed by list and place: its ``response`` and ``prompt``; ``reward``, its posterior mean from
        the mean of the list, and ``reward_sd``; ``best``, the probability that it is ranked first, at the mean rewards;
        ``gain`` of the list when it was chosen, in the units of the design; ``text`` where the pool has texts.
    design
        Who chose.
    """

    table: pd.DataFrame
    design: str

    def __str__(self) -> str:
        return f"{self._title}\n{shortened(self.table).to_string(float_format=FIGURES)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{self._title}</p>{shortened(self.table).to_html(float_format=FIGURES)}"

    @property
    def _title(self) -> str:
        return f"{counted(self.table.index.get_level_values('list').nunique(), 'list')} chosen by {self.design}"


def explain_lists(
    posterior: RewardPosterior,
    lists: Int64[np.ndarray, "list member"],
    gain: Float[np.ndarray, "list"],
    design: str,
    pool: ResponsePool,
) -> ListExplanation:
    """What a posterior says of the members of some lists."""
    if lists.size and lists.max() >= len(pool):
        raise InvalidInputError(
            f"expected lists of the {len(pool)} responses of the pool, got response {lists.max()}: do these lists "
            "belong to another pool?"
        )
    used, local = np.unique(lists, return_inverse=True)
    moments = posterior.reward_moments(pool, used)
    rows = torch.from_numpy(local.reshape(lists.shape))
    reward, factor = moments.mean[rows], moments.factor[rows]
    centred = factor - factor.mean(dim=1, keepdim=True)
    columns = {
        "response": lists.ravel(),
        "prompt": pool.prompt[lists.ravel()],
        "reward": (reward - reward.mean(dim=1, keepdim=True)).flatten().cpu().numpy(),
        "reward_sd": centred.square().sum(dim=2).sqrt().flatten().cpu().numpy(),
        "best": reward.softmax(dim=1).flatten().cpu().numpy(),
        "gain": np.repeat(gain, lists.shape[1]),
    }
    if pool.texts is not None:
        columns["text"] = np.array([pool.texts[at] for at in lists.ravel().tolist()], dtype=object)
    index = pd.MultiIndex.from_product([range(len(lists)), range(1, lists.shape[1] + 1)], names=["list", "place"])
    return ListExplanation(pd.DataFrame(columns, index=index), design)
