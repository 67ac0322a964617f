"""What a run measures: metrics of each round, rankings that need no label, and what designs could have saved."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bayesrm.design.candidates.forming import candidates
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.headroom import headroom
from bayesrm.errors import BayesRMError, CapabilityError, NoCandidatesError
from bayesrm.evaluation.baselines import RANDOM, baselines, length_share
from bayesrm.evaluation.metrics import predict, scores, spearman_by_prompt
from bayesrm.evaluation.names import HEADROOM, LENGTH_SHARE, NEEDS_NO_LABEL
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.runs.journal import Metrics
from bayesrm.types import Pairs, ResponsePool

PROMPTS, PAIRS = 200, 20_000
"""Prompts and pairs that headroom is looked for in, at most."""


def measure(
    posterior: RewardPosterior,
    test: tuple[ResponsePool, ArrayLike] | None,
    temperature: float,
    by_prompt: bool = False,
) -> Metrics:
    """Test metrics, and what the posterior says of itself."""
    metrics: Metrics = {}
    if test is not None:
        predicted = predict(posterior, test[0], np.asarray(test[1]), temperature)
        metrics |= scores(predicted)
        share = length_share(predicted.reward, test[0])
        if share is not None:
            metrics[LENGTH_SHARE] = share
        if by_prompt:
            correlation = spearman_by_prompt(predicted.reward, predicted.golden, predicted.group)
            metrics["one_minus_spearman_by_prompt"] = (1 - correlation).tolist()
    try:
        metrics["entropy"] = posterior.entropy()
    except CapabilityError:
        metrics["entropy"] = float("nan")
    if isinstance(posterior, LastLayerPosterior):
        metrics["log_evidence"] = posterior.log_evidence
        metrics["prior_scale"] = float(posterior.prior_precision.rsqrt().mean())
    return metrics


def needs_no_label(test: tuple[ResponsePool, ArrayLike], temperature: float) -> Metrics:
    """1 − Spearman of rankings that need no label, by length and by covariates; random's is 1 whatever the pool."""
    found = baselines(test[0], test[1], temperature)
    return {f"{NEEDS_NO_LABEL}{name}": own["one_minus_spearman"] for name, own in found.items() if name != RANDOM}


def headroom_left(
    posterior: RewardPosterior, pool: ResponsePool, scope: str, asked: Pairs, seed: int
) -> dict[str, float]:
    """The :func:`headroom_of` pairs in the scope of a run that it did not ask; nothing where all were asked."""
    try:
        pairs = candidates(pool, scope, prompts=min(PROMPTS, pool.n_prompts), size=PAIRS, seed=seed, exclude=asked)
    except NoCandidatesError:
        return {}
    return headroom_of(posterior, pairs)


def headroom_of(posterior: RewardPosterior, pairs: CandidateSet) -> dict[str, float]:
    """The least share of random's labels that an unbiased design could need, by its name; nothing of a point."""
    try:
        return {HEADROOM: headroom(posterior, pairs)}
    except BayesRMError:
        return {}
