"""What a fit finds: its quality and outlook, whether it predicts answers that it has not seen, and who is reliable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from bayesrm import rng
from bayesrm.campaign.agreement import agreement
from bayesrm.campaign.answers import choose_likelihood, used_answers
from bayesrm.campaign.campaign import Campaign
from bayesrm.design.room import Room, room
from bayesrm.diagnostics.annotators import records_of_annotators
from bayesrm.evaluation.baselines import length_share
from bayesrm.evaluation.forecast import HORIZONS, Estimate, Forecast, Outlook, forecast
from bayesrm.models.likelihoods.graded import Graded
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Preferences

FOLDS = 5
FEWEST_HELD_OUT = 50
"""With fewer answers none are held out."""


@dataclass(frozen=True)
class HeldOut:
    """Answers that were held out of the fit, and how well they were predicted.

    Parameters
    ----------
    answers
        How many; ties are not among them.
    right
        The share that went as predicted.
    error
        Its standard error.
    expected
        The share that the posterior itself expected.
    """

    answers: int
    right: float
    error: float
    expected: float

    def __str__(self) -> str:
        text = (
            "Of answers held out of the fit, which knows others to the same prompts, it predicts "
            f"{self.right:.0%} ± {self.error:.0%}"
        )
        off = self.right - self.expected
        if abs(off) <= 2 * self.error:
            return f"{text}, and expected {self.expected:.0%}: it knows what it does not know."
        return f"{text}, and expected {self.expected:.0%}: it is {'over' if off < 0 else 'under'}confident."


@dataclass(frozen=True)
class Reliability:
    """How an annotator answers, beside the typical one.

    Parameters
    ----------
    name
        Who.
    answers
        How many answers count.
    temperature
        T of the likelihood "annotators", a slope: below 1 is more at random than the typical annotator; None of other
        likelihoods.
    right, expected
        The share of their decided answers that go as a fit to the others' answers predicts, and what it would be of the
        typical annotator; NaN where that is not known.
    unreliable
        Whether somebody should look at these answers, see
        :class:`~bayesrm.diagnostics.annotators.AnnotatorRecord`.
    low, high
        The 90% interval of ``right``.
    alike, shared
        The share of pairs that others answered too on which they agree, and how many such pairs of answers there are.
    random, confused
        The probability that the answers are given at random, and that left and right are mixed up.
    said
        All of this in a sentence.
    """

    name: str
    answers: int
    temperature: Estimate | None
    right: float
    expected: float
    unreliable: bool
    low: float = 0.0
    high: float = 1.0
    alike: float = float("nan")
    shared: int = 0
    random: float = float("nan")
    confused: float = float("nan")
    said: str = ""


@dataclass(frozen=True)
class Findings:
    """What a fit finds.

    Parameters
    ----------
    labels
        How many answers it was fitted to.
    likelihood, reason
        The likelihood, and why it.
    forecast
        Quality now and after more labels.
    held_out
        None with too few answers, or where the inference cannot leave some out.
    annotators
        Where at least two are named, the least reliable first.
    length
        The part of the variance of rewards within prompts that length accounts for; None where lengths are not known.
    room
        What any design, lists and further inputs could save; None where nothing is left to ask.
    """

    labels: int
    likelihood: str
    reason: str
    forecast: Forecast
    held_out: HeldOut | None
    annotators: tuple[Reliability, ...]
    length: float | None = None
    room: Room | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Findings:
        """From what :meth:`as_json` gave."""
        held_out = values["held_out"]
        people = [
            Reliability(**{**entry, "temperature": entry["temperature"] and Estimate(**entry["temperature"])})
            for entry in values["annotators"]
        ]
        return cls(
            values["labels"],
            values["likelihood"],
            values["reason"],
            _forecast(values["forecast"]),
            None if held_out is None else HeldOut(**held_out),
            tuple(people),
            values.get("length"),
            None if values.get("room") is None else Room(**values["room"]),
        )


def find(
    campaign: Campaign, posterior: RewardPosterior, horizons: Sequence[int] = HORIZONS, draws: int = 256
) -> Findings:
    """Look at a posterior of a campaign.

    Parameters
    ----------
    campaign
        Its campaign.
    posterior
        What ``campaign.fit()`` gave.
    horizons
        Numbers of further labels.
    draws
        See ``forecast``.
    """
    batches = campaign.store.batches()
    last: dict[str, Any] = batches[-1] if batches else {"design": None, "scope": "within-prompt"}
    seed = int(campaign.settings["seed"])
    predicted = predict_held_out(posterior, seed)
    people = reliabilities(posterior)
    unreliable = {person.name for person in people if person.unreliable}
    reliable = (answer for answer in campaign.store.answers() if answer.annotator not in unreliable)
    alike = agreement(reliable, campaign.store.questions())
    outlook = forecast(
        posterior,
        campaign.targets,
        horizons,
        design=last["design"],
        scope=last["scope"],
        exclude=campaign.spent(),
        agreement=(alike.same, alike.pairs),
        draws=draws,
        seed=rng.child(seed, "forecast"),
    )
    chosen = choose_likelihood(posterior.preferences)
    return Findings(
        answers_of(campaign, posterior),
        posterior.model.likelihood.name,
        chosen.reason if chosen.name == posterior.model.likelihood.name else "",
        outlook,
        None if predicted is None else held_out(posterior, predicted),
        people,
        length_share(posterior.reward(campaign.pool)[0], campaign.pool),
        room(posterior, campaign.pool, campaign.spent(), campaign.targets, rng.child(seed, "room")),
    )


def answers_of(campaign: Campaign, posterior: RewardPosterior) -> int:
    """How many answers a posterior was fitted to: a ranking is one, and several rows of its preferences."""
    if posterior.preferences.choice is None:
        return len(posterior.preferences)
    return len(used_answers(campaign.store.questions(), campaign.store.answers()))


def predict_held_out(posterior: RewardPosterior, seed: int) -> Float[np.ndarray, "comparison"] | None:
    """P(first preferred) for each answer from the others, in folds, with features and prior scales as they are.

    None with too few answers, or where the inference cannot leave some out.
    """
    labels = posterior.preferences
    decided = labels[np.flatnonzero(_decided(posterior))]
    many = len(decided) if decided.choice is None else len(np.unique(decided.choice))
    if not isinstance(posterior, LastLayerPosterior) or many < FEWEST_HELD_OUT:
        return None
    fold = _folds(labels, seed)
    probability = np.empty(len(labels))
    for number in range(FOLDS):
        unseen = np.flatnonzero(fold == number)
        without = posterior.refit(posterior, labels[np.flatnonzero(fold != number)])
        pairs = labels.first[unseen], labels.second[unseen]
        probability[unseen] = without.preference_probability(posterior.pool, *pairs)
    return probability


def held_out(posterior: RewardPosterior, predicted: Float[np.ndarray, "comparison"]) -> HeldOut:
    """How well answers were predicted."""
    decided = _decided(posterior)
    right = _right(posterior, predicted)[decided]
    p = predicted[decided]
    labels = posterior.preferences
    if labels.choice is not None:
        return _held_out_choices(labels[np.flatnonzero(decided)], right, np.maximum(p, 1 - p))
    error = float(right.std(ddof=1) / np.sqrt(len(right)))
    return HeldOut(len(right), float(right.mean()), error, float(np.maximum(p, 1 - p).mean()))


def _held_out_choices(
    labels: Preferences, right: Float[np.ndarray, "comparison"], expected: Float[np.ndarray, "comparison"]
) -> HeldOut:
    """The same by choices among several, whose rows rise and fall together and count as one, by weight."""
    assert labels.choice is not None
    weight = np.ones(len(labels)) if labels.weight is None else labels.weight
    _, of = np.unique(np.asarray(labels.choice), return_inverse=True)
    total = np.bincount(of, weight)
    mean, predicted = np.bincount(of, weight * right) / total, np.bincount(of, weight * expected) / total
    share = np.bincount(of, weight) / np.bincount(of)
    estimate = float(share @ mean / share.sum())
    error = float(np.sqrt((share**2) @ (mean - estimate) ** 2) / share.sum())
    return HeldOut(len(mean), estimate, error, float(share @ predicted / share.sum()))


def _folds(labels: Preferences, seed: int) -> Int64[np.ndarray, "comparison"]:
    """The fold of each answer, at random; the rows of one choice among several stay together."""
    generator = rng.stream(seed, "held out")
    if labels.choice is None:
        return generator.permutation(len(labels)) % FOLDS
    _, of = np.unique(np.asarray(labels.choice), return_inverse=True)
    return (generator.permutation(int(of.max()) + 1) % FOLDS)[of]


def reliabilities(posterior: RewardPosterior, draws: int = 1024) -> tuple[Reliability, ...]:
    """Each annotator, the least reliable first; none where fewer than two are named."""
    records = records_of_annotators(posterior)
    if not records:
        return ()
    names = np.asarray(posterior.preferences.annotator).astype(str)
    slopes = _slopes(posterior, draws)
    return tuple(
        Reliability(
            record.name,
            int((names == record.name).sum()),
            slopes.get(record.name),
            record.right.estimate,
            record.expected,
            record.suspect,
            record.right.low,
            record.right.high,
            record.alike.estimate,
            record.shared,
            record.random,
            record.confused,
            str(record),
        )
        for record in records
    )


def _slopes(posterior: RewardPosterior, draws: int) -> dict[str, Estimate]:
    """T of each annotator, where the likelihood has one for each."""
    if posterior.model.likelihood.name != "annotators":
        return {}
    temperature = posterior.to_datatree(draws, seed=0)["posterior"].to_dataset()["temperature"]
    (dimension,) = set(temperature.dims) - {"chain", "draw"}
    found = {}
    for at, name in enumerate(temperature[dimension].values.tolist()):
        values = np.asarray(temperature.isel({dimension: at})).ravel()
        low, high = np.quantile(values, (0.05, 0.95))
        found[str(name)] = Estimate(float(np.median(values)), float(low), float(high))
    return found


def _decided(posterior: RewardPosterior) -> Bool[np.ndarray, "comparison"]:
    """Which answers are no ties, nor soft labels; a grade says who is better."""
    outcome = posterior.preferences.outcome
    if posterior.likelihood.name == Graded.name:
        return outcome != 0.5
    return (outcome == 0) | (outcome == 1)


def _right(
    posterior: RewardPosterior, predicted: Float[np.ndarray, "comparison"]
) -> Float[np.ndarray, "comparison"]:
    """1 where an answer went as predicted, ½ where nothing was predicted."""
    return np.where(predicted == 0.5, 0.5, (predicted > 0.5) == (posterior.preferences.outcome > 0.5))


def _forecast(values: dict[str, Any]) -> Forecast:
    return Forecast(
        _outlook(values["now"]),
        tuple(map(_outlook, values["later"])),
        values["design"],
        Estimate(**values["agreement"]),
        values["counted"],
        Estimate(**values["explained"]),
    )


def _outlook(values: dict[str, Any]) -> Outlook:
    return Outlook(
        values["labels"],
        Estimate(**values["one_minus_spearman"]),
        Estimate(**values["regret"]),
        values["random"],
    )
