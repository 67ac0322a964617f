r"""The learning curve of labels that people gave: how well answers to unseen prompts were predicted, as they came in.

Prompts are put into folds. For each cut of the labels in the order in which they were told, and each fold, a fit to
the labels before the cut that touch no prompt of the fold predicts all answers to the prompts of the fold. So every
point of the curve is about the same answers, none of which, nor any other to its prompt, was seen. Intervals resample
prompts.

Two things stand beside it. Length alone: P(first) = σ(w (l_i − l_j)) with l the logarithm of the number of characters
and w fitted to the other folds. And the ceiling: where two annotators answer one question alike with probability A,

    A = E[q² + (1 − q)²]  ⇒  A ≤ E max(q, 1 − q) ≤ ½ + ½ √(2A − 1),

so no model predicts single answers more often than that, whatever it learns (for the right side, Jensen on
(2 max(q, 1 − q) − 1)² = 2 (q² + (1 − q)²) − 1; for the left, that it is at most its own root).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Int64
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit

from bayesrm import rng
from bayesrm.data.covariates import surface_of
from bayesrm.diagnostics.annotators import agreement_of_pairs
from bayesrm.diagnostics.finding import Finding
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.intervals import Interval, proportion_interval
from bayesrm.inference.laplace import refit
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Preferences
from bayesrm.utils.wording import counted, one_or_many

NAME = "history"
FOLDS, CUTS = 4, 6
FEWEST = 40
"""With fewer decided answers there is no curve."""
LEVEL = 0.9
RESAMPLES = 1000
SMALLEST = 1e-6

_ALWAYS = ("labels", "accuracy", "accuracy_low", "accuracy_high", "answers", "probability", "outcome", "prompt")
Fit = Callable[[Preferences], RewardPosterior]


def own_history(
    posterior: RewardPosterior,
    order: Int64[np.ndarray, "comparison"] | None = None,
    fit: Fit | None = None,
    cuts: int = CUTS,
    folds: int = FOLDS,
    seed: int = 0,
) -> xr.Dataset | None:
    """The learning curve of the labels that a posterior was fitted to.

    Parameters
    ----------
    posterior
        Of the last layer, with spread; the last layer alone is fitted again, with features and prior scales as they
        are, which see no answers but through a few numbers. An encoder that was trained on answers is trained again.
    order
        Positions of the labels in the order in which they were told; default as they stand.
    fit
        What fits from scratch, for posteriors that cannot be refitted otherwise.
    cuts, folds
        Points of the curve, evenly spaced over the labels, and folds of the prompts.
    seed
        Of folds and resamples.

    Returns
    -------
    Dataset | None
        By ``cut``: ``labels``, and ``accuracy`` and ``log_loss`` with ends of 90% intervals, ``_low`` and ``_high``.
        Scalars: ``gained``, what the last cut added to the accuracy, ``length_accuracy``, ``length_log_loss``,
        ``beyond_length`` (accuracy less that of length), each with ends; ``agreement`` of two annotators with ends and
        the number of ``repeated`` questions, ``ceiling_low`` and ``ceiling_high``; ``answers`` that were predicted. By
        ``point``, for calibration: ``probability``, ``outcome`` and ``prompt`` of each. None where there are too few
        answers or prompts, or no fit without some of them.
    """
    labels = posterior.preferences
    order = np.arange(len(labels)) if order is None else order
    labels = labels[order]
    again = _fitter(posterior, fit)
    decided = np.flatnonzero((labels.outcome == 0) | (labels.outcome == 1))
    first, second = posterior.pool.group[labels.first], posterior.pool.group[labels.second]
    prompts = np.unique(first)
    if again is None or labels.choice is not None or len(decided) < FEWEST or len(prompts) < 2 * folds:
        return None
    fold_of = np.full(posterior.pool.n_prompts, -1)
    fold_of[prompts] = rng.stream(seed, "folds of prompts").permutation(len(prompts)) % folds
    ends = np.unique(np.linspace(0, len(labels), cuts + 1).round().astype(np.int64)[1:])
    probability = np.empty((len(ends), len(decided)))
    length = np.full(len(decided), 0.5)
    characters = surface_of(posterior.pool, "log_characters")
    for fold in range(folds):
        unseen = np.flatnonzero(fold_of[first[decided]] == fold)
        usable = (fold_of[first] != fold) & (fold_of[second] != fold)
        pairs = labels.first[decided[unseen]], labels.second[decided[unseen]]
        for at, end in enumerate(ends.tolist()):
            known = again(labels[np.flatnonzero(usable & (np.arange(len(labels)) < end))])
            probability[at, unseen] = known.preference_probability(posterior.pool, *pairs)
        if characters is not None:
            known_pairs = decided[usable[decided]]
            weight = _length_weight(characters, labels, known_pairs)
            length[unseen] = expit(weight * (characters[pairs[0]] - characters[pairs[1]]))
    scored = _Scored(labels.outcome[decided], np.unique(first[decided], return_inverse=True)[1], seed)
    return _dataset(scored, ends, probability, None if characters is None else length, labels)


def _fitter(posterior: RewardPosterior, fit: Fit | None) -> Fit | None:
    """Fits the last layer again where the features have not learned from the answers, else everything."""
    if not isinstance(posterior, LastLayerPosterior) or "spread" not in posterior.provides:
        return fit
    trained = any(True for _ in posterior.model.encoder.body.parameters())
    return fit if trained else lambda labels: refit(posterior, labels)


def _length_weight(
    characters: Float[np.ndarray, "response"], labels: Preferences, rows: Int64[np.ndarray, "_"]
) -> float:
    """w of length alone, with a wide prior."""
    longer = characters[labels.first[rows]] - characters[labels.second[rows]]
    signed = longer * (2 * labels.outcome[rows] - 1)
    found = minimize_scalar(lambda w: -log_expit(w * signed).sum() + w**2 / 50, bounds=(-20, 20), method="bounded")
    return float(found.x)


@dataclass(frozen=True)
class _Scored:
    """Answers that were predicted, and means over them with intervals that resample their prompts."""

    outcome: Float[np.ndarray, "answer"]
    prompt: Int64[np.ndarray, "answer"]
    seed: int

    def right(self, probability: Float[np.ndarray, "answer"]) -> Float[np.ndarray, "answer"]:
        """1 where it went as predicted, ½ where nothing was."""
        return np.where(probability == 0.5, 0.5, (probability > 0.5) == (self.outcome == 1))

    def loss(self, probability: Float[np.ndarray, "answer"]) -> Float[np.ndarray, "answer"]:
        """−log of the probability of what was answered, in nats."""
        given = np.where(self.outcome == 1, probability, 1 - probability)
        return -np.log(np.maximum(given, SMALLEST))

    def mean(self, values: Float[np.ndarray, "answer"]) -> Interval:
        """A mean over answers."""
        count = int(self.prompt.max()) + 1
        total, size = np.bincount(self.prompt, values, count), np.bincount(self.prompt, minlength=count)
        weight = rng.stream(self.seed, "history").multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        means = (weight @ total) / np.maximum(weight @ size, 1)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(float(values.mean()), float(low), float(high))


def _dataset(
    scored: _Scored,
    ends: Int64[np.ndarray, "cut"],
    probability: Float[np.ndarray, "cut answer"],
    length: Float[np.ndarray, "answer"] | None,
    labels: Preferences,
) -> xr.Dataset:
    right = [scored.right(row) for row in probability]
    curves = {
        "accuracy": [scored.mean(values) for values in right],
        "log_loss": [scored.mean(scored.loss(row)) for row in probability],
    }
    variables: dict[str, object] = {"labels": ("cut", ends)}
    for name, found in curves.items():
        variables |= {
            name: ("cut", np.array([one.estimate for one in found])),
            f"{name}_low": ("cut", np.array([one.low for one in found])),
            f"{name}_high": ("cut", np.array([one.high for one in found])),
        }
    scalars = {"gained": scored.mean(right[-1] - right[-2])} if len(right) > 1 else {}
    if length is not None:
        scalars["length_accuracy"] = scored.mean(scored.right(length))
        scalars["length_log_loss"] = scored.mean(scored.loss(length))
        scalars["beyond_length"] = scored.mean(right[-1] - scored.right(length))
    same, repeated = agreement_of_pairs(labels)
    if repeated:
        scalars["agreement"] = proportion_interval(same, repeated, LEVEL)
    for name, one in scalars.items():
        variables |= {name: one.estimate, f"{name}_low": one.low, f"{name}_high": one.high}
    if repeated:
        share = scalars["agreement"].estimate
        variables |= {"repeated": repeated, "ceiling_low": max(share, 0.5), "ceiling_high": ceiling(share)}
    variables |= {
        "answers": len(scored.outcome),
        "probability": ("point", probability[-1]),
        "outcome": ("point", scored.outcome),
        "prompt": ("point", scored.prompt),
    }
    coordinates = {"cut": np.arange(1, len(ends) + 1), "point": np.arange(len(scored.outcome))}
    return xr.Dataset(variables, coordinates)


def ceiling(agreement: float) -> float:
    """The most that single answers can be predicted where two annotators agree so often: ½ + ½ √(2A − 1)."""
    return 0.5 + 0.5 * float(np.sqrt(max(0.0, 2 * agreement - 1)))


def history_finding(data: xr.Dataset) -> Finding:
    """The verdict on a learning curve."""

    def share(name: str, at: int | None = None) -> str:
        values = [data[part] if at is None else data[part][at] for part in (name, f"{name}_low", f"{name}_high")]
        estimate, low, high = (float(value) for value in values)
        return f"{estimate:.0%} (90%: {low:.0%} to {high:.0%})"

    missing = [name for name in _ALWAYS if name not in data]
    if missing:
        raise InvalidInputError(
            f"expected a history as bayesrm.diagnostics.history.own_history makes it, got data without "
            f"{', '.join(missing)}"
        )
    labels = data["labels"].values
    parts = [
        f"Of {counted(int(data['answers']), 'answer')} to prompts that it has not seen the model predicts "
        f"{share('accuracy', -1)}"
    ]
    if len(labels) > 1:
        parts.append(
            f"after the first {counted(int(labels[0]), 'answer')} it was {float(data['accuracy'][0]):.0%}"
        )
    if "length_accuracy" in data:
        parts.append(f"length alone predicts {share('length_accuracy')}")
    if "ceiling_high" in data:
        times = counted(int(data["repeated"]), "question")
        were = one_or_many(int(data["repeated"]), "was", "were")
        parts.append(
            f"no model can predict more than {float(data['ceiling_low']):.0%} to {float(data['ceiling_high']):.0%}, as "
            f"two annotators are alike {share('agreement')} of the time on {times} that {were} answered twice"
        )
    sentence = "; ".join(parts) + "."
    if float(data["accuracy_low"][-1]) <= 0.5:
        return Finding(NAME, "note", f"{sentence} That may be chance: go on, or look at the answers.", data)
    if "beyond_length" in data and float(data["beyond_length_low"]) <= 0:
        return Finding(NAME, "note", f"{sentence} So far the model may know no more than length.", data)
    return Finding(NAME, "good", sentence, data)
