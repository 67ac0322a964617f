r"""Who answers like the others, who at random and who the wrong way round, from what the others' answers predict.

For each annotator a the answers of a are left out, the last layer is fitted again to those of the others, and gives the
logit η_k of each answer of a, shrunk for what is uncertain of it. Answers are then a mixture over people,

    y_k ~ Bernoulli(σ(c_a η_k)),   c_a = T, 0 or −T with probability 1 − π − ρ, π and ρ,

like the others, at random, or with the sides confused. The slope T is common to all and maximises the likelihood, so
that a model that is too sure of itself makes nobody look random. P(c_a = 0 | answers) weighs how many answers there are
and how much could be predicted of them: twenty answers to close calls say nothing of who gave them.

Encoder and prior scales stay those of the fit to all answers. Agreement with others counts pairs that both answered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Int64
from scipy.special import expit, log_expit, logit, logsumexp, softmax

from bayesrm.diagnostics.finding import Finding
from bayesrm.evaluation.intervals import Interval, proportion_interval
from bayesrm.inference.laplace import refit
from bayesrm.models.context import NOBODY
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior, with_features
from bayesrm.types import Preferences
from bayesrm.utils.wording import counted

AT_RANDOM, CONFUSED = 0.10, 0.02
"""π and ρ: crowds have that many annotators whose answers are no judgements, and fewer who mix up the sides."""
SUSPECT, CERTAIN = 0.25, 0.9
"""Probabilities from which on an annotator is to be looked at, and from which on it is said without a perhaps."""
MOST_REFITS = 12
"""With more annotators than these, several are left out at once."""
SLOPES = np.geomspace(0.25, 4.0, 33)
SLOPE_SPREAD = 0.5
"""Prior standard deviation of log T."""
LEVEL = 0.9
NAME = "annotators"


@dataclass(frozen=True)
class AnnotatorRecord:
    """How one annotator's answers go with the others'.

    Parameters
    ----------
    name
        Who.
    answers
        How many of them are no ties.
    right, expected
        The share of them that goes as the others' answers predict, with its 90% interval, and the share that it would
        be of a typical annotator.
    alike
        The share of pairs that others answered too on which they agree, with its 90% interval; a tie beside a side is
        half an agreement.
    shared
        How many such pairs of answers.
    random, confused
        The probability that the answers are given at random, and that left and right are mixed up.
    """

    name: str
    answers: int
    right: Interval
    expected: float
    alike: Interval
    shared: int
    random: float
    confused: float

    @property
    def suspect(self) -> bool:
        """Whether somebody should look at the answers."""
        return max(self.random, self.confused) >= SUSPECT

    def __str__(self) -> str:
        figures = (
            f"{self.right.estimate:.0%} (90%: {self.right.low:.0%} to {self.right.high:.0%}) of "
            f"{counted(self.answers, 'answer')} go as the others' answers predict, where {self.expected:.0%} of a "
            "typical annotator's would"
        )
        if not self.suspect:
            return f"{self.name} answers like the others: {figures}."
        probability = max(self.random, self.confused)
        what = "answers next to at random" if self.random >= self.confused else "mixes up left and right"
        if probability >= CERTAIN:
            return f"{self.name} {what}: {figures}."
        what = "answer next to at random" if self.random >= self.confused else "mix up left and right"
        return f"{self.name} may {what} (probability {probability:.0%}): {figures}; read some of these answers."


def records_of_annotators(posterior: RewardPosterior) -> tuple[AnnotatorRecord, ...]:
    """A record for each named annotator, the least reliable first; none where fewer than two are named.

    Parameters
    ----------
    posterior
        Of a last layer with spread, fitted to preferences that say who answered; of others there are no records.
    """
    labels = posterior.preferences
    if not can_be_judged(posterior):
        return ()
    names = _names(labels)
    people = sorted({*names.tolist()} - {NOBODY})
    predicted = predicted_by_others(with_features(posterior))
    decided = (labels.outcome == 0) | (labels.outcome == 1)
    of = {name: np.flatnonzero((names == name) & decided) for name in people}
    weights, slope = guessing(
        [predicted[rows] for rows in of.values()], [labels.outcome[rows] for rows in of.values()]
    )
    alike = agreement_with_others(labels)
    records = []
    for name, (_, random, confused) in zip(people, weights, strict=True):
        rows = of[name]
        eta = slope * predicted[rows]
        right = float(np.where(eta == 0, 0.5, (eta > 0) == (labels.outcome[rows] == 1)).sum())
        same, shared = alike[name]
        records.append(
            AnnotatorRecord(
                name,
                len(rows),
                proportion_interval(right, len(rows), LEVEL),
                float(expit(np.abs(eta)).mean()) if len(rows) else float("nan"),
                proportion_interval(same, shared, LEVEL),
                shared,
                float(random),
                float(confused),
            )
        )
    return tuple(sorted(records, key=lambda record: (-max(record.random, record.confused), record.name)))


def can_be_judged(posterior: RewardPosterior) -> bool:
    """Whether there are two named annotators and a last layer that can be fitted without one of them."""
    return (
        posterior.provides >= {"spread", "features"}
        and posterior.preferences.choice is None
        and len({*_names(posterior.preferences).tolist()} - {NOBODY}) > 1
    )


def predicted_by_others(posterior: LastLayerPosterior) -> Float[np.ndarray, "comparison"]:
    """The logit of each answer, from a fit without all answers of whoever gave it; NaN of answers without a name."""
    labels, names = posterior.preferences, _names(posterior.preferences)
    people = sorted({*names.tolist()} - {NOBODY}, key=lambda name: (-int((names == name).sum()), name))
    predicted = np.full(len(labels), np.nan)
    for number in range(min(len(people), MOST_REFITS)):
        unseen = np.isin(names, people[number::MOST_REFITS])
        without = refit(posterior, labels[np.flatnonzero(~unseen)])
        own = np.flatnonzero(unseen)
        predicted[own] = logit(
            without.preference_probability(posterior.pool, labels.first[own], labels.second[own]).clip(
                1e-6, 1 - 1e-6
            )
        )
    return predicted


def guessing(
    predicted: Sequence[Float[np.ndarray, "_"]], outcome: Sequence[Float[np.ndarray, "_"]]
) -> tuple[Float[np.ndarray, "annotator 3"], float]:
    """The posterior probabilities of c_a = T, 0 and −T for each annotator, and T.

    Parameters
    ----------
    predicted, outcome
        For each annotator, the logits η of their answers, and what they answered, 0 or 1.
    """
    log_prior = np.log([1 - AT_RANDOM - CONFUSED, AT_RANDOM, CONFUSED])

    def joint(slope: float) -> Float[np.ndarray, "annotator 3"]:
        rows = []
        for eta, answer in zip(predicted, outcome, strict=True):
            signed = slope * eta * (2 * answer - 1)
            rows.append([log_expit(signed).sum(), -np.log(2) * len(eta), log_expit(-signed).sum()])
        return np.array(rows) + log_prior

    # Slopes about 1 are expected of a calibrated model; a few answers say little of them.
    scores = [
        logsumexp(joint(slope), axis=1).sum() - 0.5 * (np.log(slope) / SLOPE_SPREAD) ** 2
        for slope in SLOPES.tolist()
    ]
    slope = float(SLOPES[int(np.argmax(scores))])
    return np.asarray(softmax(joint(slope), axis=1)), slope


def agreement_with_others(labels: Preferences) -> dict[str, tuple[float, int]]:
    """By name: how many pairs of answers to one question, with another's, agree, and of how many."""
    same: defaultdict[str, float] = defaultdict(float)
    shared: defaultdict[str, int] = defaultdict(int)
    names = _names(labels)
    for rows, outcome in _repeated(labels):
        for k, name in enumerate(names[rows].tolist()):
            others = names[rows] != name
            same[name] += float((1 - np.abs(outcome[others] - outcome[k])).sum())
            shared[name] += int(others.sum())
    return {name: (same[name], shared[name]) for name in {*names.tolist()} - {NOBODY}}


def agreement_of_pairs(labels: Preferences) -> tuple[float, int]:
    """How many questions with several answers have equal ones, in expectation over two of them, and how many there are.

    A tie beside a side is half the same; which response is called the first makes no difference.
    """
    found = _repeated(labels)
    same = 0.0
    for rows, outcome in found:
        count = len(rows)
        same += 1 - float(np.abs(outcome[:, None] - outcome).sum()) / (count * (count - 1))
    return same, len(found)


def _names(labels: Preferences) -> np.ndarray:
    return np.full(len(labels), NOBODY) if labels.annotator is None else labels.annotator.astype(str)


def _repeated(labels: Preferences) -> list[tuple[Int64[np.ndarray, "_"], Float[np.ndarray, "_"]]]:
    """Rows of each pair that was answered several times, and what the one of the smaller index was given."""
    turned = labels.first > labels.second
    outcome = np.where(turned, 1 - labels.outcome, labels.outcome)
    pair = np.stack([np.minimum(labels.first, labels.second), np.maximum(labels.first, labels.second)], axis=1)
    _, number = np.unique(pair, axis=0, return_inverse=True)
    order = np.argsort(number.ravel(), kind="stable")
    ends = np.flatnonzero(np.diff(number.ravel()[order])) + 1
    return [(rows, outcome[rows]) for rows in np.split(order, ends) if len(rows) > 1]


def annotators(posterior: RewardPosterior) -> Finding | None:
    """Hold every annotator against the others; None where fewer than two are named.

    Returns
    -------
    Finding
        By annotator: ``answers``, ``right`` with ``right_low`` and ``right_high``, ``expected``, ``alike`` with its
        ends, ``shared``, ``random`` and ``confused``; see :class:`AnnotatorRecord`.
    """
    records = records_of_annotators(posterior)
    return None if not records else finding_of(records)


def finding_of(records: Sequence[AnnotatorRecord]) -> Finding:
    """The verdict on annotators, with the figures."""
    data = xr.Dataset(
        {
            "answers": ("annotator", np.array([record.answers for record in records])),
            **_with_ends("right", [record.right for record in records]),
            "expected": ("annotator", np.array([record.expected for record in records])),
            **_with_ends("alike", [record.alike for record in records]),
            "shared": ("annotator", np.array([record.shared for record in records])),
            "random": ("annotator", np.array([record.random for record in records])),
            "confused": ("annotator", np.array([record.confused for record in records])),
        },
        {"annotator": [record.name for record in records]},
    )
    suspects = [record for record in records if record.suspect]
    if suspects:
        certain = any(max(record.random, record.confused) >= CERTAIN for record in suspects)
        return Finding(NAME, "bad" if certain else "note", " ".join(map(str, suspects)), data)
    unclear = [record.name for record in records if record.random > AT_RANDOM / 2]
    if unclear:
        return Finding(
            NAME,
            "note",
            f"Nobody's answers look random; of {', '.join(unclear)} there are too few, or only close calls, to know.",
            data,
        )
    return Finding(NAME, "good", f"All {len(records)} annotators answer as the others' answers predict.", data)


def _with_ends(name: str, intervals: Sequence[Interval]) -> dict[str, tuple[str, np.ndarray]]:
    return {
        name: ("annotator", np.array([one.estimate for one in intervals])),
        f"{name}_low": ("annotator", np.array([one.low for one in intervals])),
        f"{name}_high": ("annotator", np.array([one.high for one in intervals])),
    }
