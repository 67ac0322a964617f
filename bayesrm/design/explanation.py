r"""Why these pairs: what a posterior knew of each, and where a batch lies among the responses it was chosen from.

An information design gains ½ log(1 + w s²) from a pair on its own, with w the expected Fisher weight and s² the
variance of the logit: likely either way, and little known. What it gained when it was chosen, after the pairs before
it, is less the more it shares with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from bayesrm.models.features import difference
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.pairs import ListedPairs
from bayesrm.types import ResponsePool, compact, require_within
from bayesrm.utils.wording import counted

if TYPE_CHECKING:
    from bayesrm.design.selection import Selection

BACKGROUND = 2_000
"""Responses that a projection shows beside those of the batch, evenly spaced over the pool."""
SHOWN = 60
"""Characters of a text in what is printed; the table itself has all of them."""
TEXTS = {"first_text", "second_text", "text"}
FIGURES = "{:.4g}".format


@dataclass(frozen=True, eq=False)
class Explanation:
    """A batch with the reasons for it.

    Parameters
    ----------
    table
        A row a pair in the order of choice: ``first`` and ``second`` with their prompts; ``probability`` that the
        first is preferred; ``fisher_weight`` E w(η); ``logit_variance`` Var η (at a point, which has no spread, its
        inverse Fisher information); ``gain`` when it was chosen, in the units of the design; ``annotator`` where
        annotators were given; ``inclusion`` where the batch was sampled; ``first_text`` and ``second_text`` where the
        pool has texts.
    projection
        Responses (variable ``position``) and the ends of the pairs (``first_position``, ``second_position``) on the
        two directions along which logits vary most: distances are in standard deviations of a logit. ``share`` is
        the part of that variance that each direction carries.
    design
        Who chose.
    """

    table: pd.DataFrame
    projection: xr.Dataset
    design: str

    def __str__(self) -> str:
        return f"{self._title}\n{shortened(self.table).to_string(float_format=FIGURES)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{self._title}</p>{shortened(self.table).to_html(float_format=FIGURES)}"

    @property
    def _title(self) -> str:
        return f"{counted(len(self.table), 'pair')} chosen by {self.design}"


def shortened(table: pd.DataFrame) -> pd.DataFrame:
    """A table to be looked at, where a text takes one line."""
    shown = table.copy()
    for name in TEXTS & set(shown):
        lines = [" ".join(str(text).split()) for text in shown[name]]
        shown[name] = [line if len(line) <= SHOWN else line[: SHOWN - 1] + "…" for line in lines]
    return shown


def explain(posterior: RewardPosterior, selection: Selection, pool: ResponsePool) -> Explanation:
    """What a posterior says of the pairs of a batch; see :class:`Explanation`."""
    require_within(selection, pool)
    used, *ends = compact(selection.first, selection.second)
    first, second = (torch.from_numpy(end) for end in ends)
    moments = posterior.reward_moments(pool, used)
    logits = moments.of(ListedPairs(first, second))
    variance = logits.variance
    if "spread" not in posterior.provides:
        variance = difference(posterior.information_factor(pool, used), first, second).square().sum(dim=1)
    columns = {
        "first": selection.first,
        "second": selection.second,
        "first_prompt": pool.prompt[selection.first],
        "second_prompt": pool.prompt[selection.second],
        "probability": logits.probability(posterior.likelihood).cpu().numpy(),
        "fisher_weight": logits.fisher_weight(posterior.likelihood).cpu().numpy(),
        "logit_variance": variance.cpu().numpy(),
        "gain": selection.gain,
    }
    if selection.annotator is not None:
        columns["annotator"] = selection.annotator
    if selection.inclusion is not None:
        columns["inclusion"] = selection.inclusion
    if pool.texts is not None:
        for name in ("first", "second"):
            columns[f"{name}_text"] = np.array(
                [pool.texts[k] for k in getattr(selection, name).tolist()], dtype=object
            )
    table = pd.DataFrame(columns, index=pd.RangeIndex(len(selection), name="pair"))
    return Explanation(table, _projection(posterior, selection, pool), selection.design)


def _projection(posterior: RewardPosterior, selection: Selection, pool: ResponsePool) -> xr.Dataset:
    around = np.linspace(0, len(pool) - 1, min(len(pool), BACKGROUND)).round().astype(np.int64)
    shown = np.unique(np.concatenate([around, selection.first, selection.second]))
    position, share = _two_directions(posterior.information_factor(pool, shown))
    first, second = (position[np.searchsorted(shown, end)] for end in (selection.first, selection.second))
    pairs = ("pair", "direction")
    return xr.Dataset(
        {
            "position": (("response", "direction"), position),
            "first_position": (pairs, first),
            "second_position": (pairs, second),
            "gain": ("pair", selection.gain),
            "share": ("direction", share),
        },
        coords={"response": shown, "pair": np.arange(len(selection)), "direction": [1, 2]},
        attrs={"design": selection.design},
    )


def _two_directions(
    rows: Float[Tensor, "response rank"],
) -> tuple[Float[np.ndarray, "response 2"], Float[np.ndarray, "2"]]:
    """Rows on their first two principal axes, zero where there are fewer, and the share of variance of each."""
    centred = (rows - rows.mean(dim=0)).cpu()
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    total = float(s.square().sum())
    position, share = np.zeros((len(rows), 2)), np.zeros(2)
    count = min(2, len(s))
    position[:, :count] = (u[:, :count] * s[:count]).numpy()
    if total > 0:
        share[:count] = (s[:count].square() / total).numpy()
    return position, share
