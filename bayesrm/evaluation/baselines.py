r"""What needs no label: rankings by length, other covariates, a judge or chance; and how much of a model is length.

Annotators prefer long answers, and so does whatever learns from them. A figure of a reward model says little without
that of length alone beside it.

The share of length is that of a regression within prompts. With m̃ the posterior mean rewards and X̃ the length
covariates, each less its mean over the prompt,

    R² = 1 − min_w ‖m̃ − X̃ w‖² / ‖m̃‖²

is the part of the variance of predicted rewards within prompts that length accounts for, whether or not the model was
given length: embeddings know it too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from scipy.special import expit

from bayesrm.data.covariates import LENGTHS, surface_of
from bayesrm.data.golden import as_golden
from bayesrm.design.candidates.numbering import PairNumbering
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.metrics import MAX_PAIRS, Predictions, Scores, scores
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import checked
from bayesrm.utils.grouped import less_group_means

RANDOM = "random"
FROM_TEXTS = ("log_characters", "lines")
"""Baselines that a pool with texts has, whatever its covariates."""


@checked
def baselines(pool: ResponsePool, golden: ArrayLike, temperature: float = 1.0) -> dict[str, Scores]:
    """Score what needs no label on a test pool, as ``evaluate`` scores a posterior.

    Parameters
    ----------
    pool : ResponsePool
        Test responses; texts and covariates are what is ranked by.
    golden : array_like
        (response,) golden rewards of the test pool.
    temperature : float, default 1.0
        Slope of the golden Bradley–Terry probabilities, as of the annotator's.

    Returns
    -------
    dict
        Name → the keys of ``evaluate``. ``log_characters`` and ``lines``, from the pool's covariates or else its texts;
        every other covariate of the pool, such as ``judge``; and ``random``, the expectation over random rankings. More
        counts as better. A ranking has no scale, so every probability is ½.

    Raises
    ------
    InvalidInputError
        Where golden rewards do not fit the pool, or the temperature is not above 0.

    Examples
    --------
    >>> pool = brm.ResponsePool(np.zeros((3, 1)), [0, 0, 0], texts=["a", "bb", "ccc"])
    >>> found = brm.baselines(pool, [1.0, 2.0, 3.0])
    >>> found["log_characters"]["one_minus_spearman"], found["random"]["one_minus_spearman"]
    (0.0, 1.0)

    See Also
    --------
    evaluate : the same of a posterior.
    """
    rewards = as_golden(golden, len(pool))
    if not 0 < temperature < math.inf:
        raise InvalidInputError(f"expected a finite temperature above 0, got {temperature}")
    rankings = {name: values for name in FROM_TEXTS if (values := surface_of(pool, name)) is not None}
    rankings |= pool.covariates
    first, second = _pairs(pool)
    probability = np.full(len(first), 0.5)
    golden_probability = expit(temperature * (rewards[first] - rewards[second]))
    length = surface_of(pool, "log_characters")
    # All responses alike: metrics are then expectations over all orders.
    rankings[RANDOM] = np.zeros(len(pool))
    return {
        name: scores(
            Predictions(values, rewards, pool.group, first, second, probability, golden_probability, length)
        )
        for name, values in rankings.items()
    }


def length_share(
    reward: Float[np.ndarray, "response"], pool: ResponsePool, names: Sequence[str] = LENGTHS
) -> float | None:
    """The part of the variance of rewards within prompts that a regression on length accounts for, R² as above.

    Parameters
    ----------
    reward
        (response,) posterior means, comparable within a prompt.
    pool
        Their responses.
    names
        Covariates that say how long a text is; those are used that the pool has, or that follow from its texts.

    Returns
    -------
    float | None
        Between 0 and 1; 0 where rewards are constant within prompts; None where the pool does not know lengths.
    """
    columns = [values for name in names if (values := surface_of(pool, name)) is not None]
    if not columns:
        return None
    m = less_group_means(reward[:, None], pool.group)[:, 0]
    x = less_group_means(np.stack(columns, axis=1), pool.group)
    total = float(m @ m)
    if total <= 1e-18 * float(reward @ reward):
        return 0.0
    x = x / np.maximum(np.sqrt((x**2).mean(axis=0)), 1e-12)
    weights = np.linalg.lstsq(x, m, rcond=1e-9)[0]
    return min(1.0, max(0.0, 1 - float(((m - x @ weights) ** 2).sum()) / total))


def length_sentence(
    share: float | None, found: Mapping[str, Mapping[str, Any]] | None = None, model: float | None = None
) -> str:
    """What a report says of length: its share of the model, and what it ranks at alone.

    Parameters
    ----------
    share
        From :func:`length_share`.
    found
        From :func:`baselines`.
    model
        The model's own 1 − Spearman.
    """
    parts = []
    if share is not None:
        parts.append(
            f"{share:.0%} of what the model knows is length: so much of the variance of its rewards within prompts a "
            "regression on the length of the texts explains."
        )
    if found is not None and "log_characters" in found:
        alone = float(found["log_characters"]["one_minus_spearman"])
        text = f"Length alone, without any label, ranks at 1 − Spearman {alone:.3f}"
        if model is not None:
            gap = alone - model
            text += f", the model at {model:.3f}" + (
                ": the labels have brought nothing beyond length." if gap <= 0 else "."
            )
        parts.append(text if text.endswith(".") else text + ".")
    return " ".join(parts)


def _pairs(pool: ResponsePool) -> tuple[Int64[np.ndarray, "pair"], Int64[np.ndarray, "pair"]]:
    """All pairs within prompts, or evenly spaced ones of many: the same that ``predict`` takes."""
    order = np.argsort(pool.group, kind="stable")
    numbering = PairNumbering(np.arange(len(pool)), np.bincount(pool.group))
    total = len(numbering)
    kept = min(total, MAX_PAIRS)
    row, other = numbering.decode(np.arange(kept) * total // max(kept, 1))
    return order[row], order[other]
