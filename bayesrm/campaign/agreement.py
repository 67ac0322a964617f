r"""How far annotators agree with each other: Krippendorff's alpha, and a second answer's chance of being the first.

With v_u the outcomes of question u, n_u ≥ 2 of them, and N = Σ n_u,

    α = 1 − D_o / D_e,
    D_o = (1/N) Σ_u Σ_{i≠j ∈ u} (v_i − v_j)² / (n_u − 1),   D_e = Σ_{i≠j} (v_i − v_j)² / (N (N − 1)),

with the metric for intervals, so that a tie is half a disagreement away from either side (Krippendorff 2011,
"Computing Krippendorff's alpha-reliability"). Which response is called first says nothing, so each question counts in
both orientations: D_e is then (with N twice over and mean ½) the same for any naming. Intervals resample questions.

Of a list, which is ranked, the pairs of its members that two annotators decided are looked at, and count as one
question together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayesrm import rng
from bayesrm.campaign.answers import OUTCOMES, latest
from bayesrm.campaign.records import Answer, Question
from bayesrm.evaluation.intervals import Interval, proportion_interval
from bayesrm.utils.wording import counted, one_or_many

RESAMPLES = 1000
LEVEL = 0.9
FEWEST_FOR_ALPHA = 30
"""With fewer questions the bootstrap of α says more than they know: of nine that agree, that α is 1 for certain."""


@dataclass(frozen=True)
class Agreement:
    """What several answers to the same questions say.

    Parameters
    ----------
    questions
        How many questions have several answers.
    same, pairs
        Pairs of answers to one question, in expectation one of each question, and how many of them are the same; a tie
        beside a side is half the same, and of two rankings it is the share of pairs.
    alpha, low, high
        Krippendorff's alpha and its 90% interval; NaN where it has none.
    """

    questions: int
    same: float
    pairs: float
    alpha: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.questions == 0:
            return (
                "No question has answers of two annotators, so their agreement is not known: ask with --overlap 2."
            )
        share = self.share
        text = (
            f"{counted(self.questions, 'question')} {one_or_many(self.questions, 'has', 'have')} several answers, "
            f"which are the same {share.estimate:.0%} of the time (90%: {share.low:.0%} to {share.high:.0%})"
        )
        if self.questions < FEWEST_FOR_ALPHA or np.isnan(self.alpha):
            return f"{text}; so few say little." if self.questions < FEWEST_FOR_ALPHA else f"{text}."
        return f"{text}; Krippendorff's alpha is {self.alpha:.2f} (90%: {self.low:.2f} to {self.high:.2f})."

    @property
    def share(self) -> Interval:
        """How often two answers to one question are the same, with its 90% interval."""
        return proportion_interval(self.same, self.pairs, LEVEL)


def agreement(answers: Iterable[Answer], questions: Iterable[Question] = ()) -> Agreement:
    """How far the answers that count agree, without skips; answers to lists also need their questions."""
    lists = {question.id: question for question in questions if question.is_list}
    by_question: defaultdict[str, defaultdict[object, list[float]]] = defaultdict(lambda: defaultdict(list))
    for answer in latest(answers).values():
        if answer.verdict != "skip":
            for pair, outcome in _outcomes(answer, lists.get(answer.question)):
                by_question[answer.question][pair].append(outcome)
    several = [
        [np.array(values) for values in pairs.values() if len(values) > 1]
        for _, pairs in sorted(by_question.items())
    ]
    units = [pairs for pairs in several if pairs]
    if not units:
        return Agreement(0, 0.0, 0.0, float("nan"), float("nan"), float("nan"))
    same = float(len(units)) - sum(sum(map(_mean_distance, pairs)) / len(pairs) for pairs in units)
    sums = np.stack([_sums(pairs).mean(axis=0) for pairs in units])
    generator = rng.stream(0, "agreement")
    counts = (
        np.bincount(generator.integers(len(units), size=len(units)), minlength=len(units))
        for _ in range(RESAMPLES)
    )
    resampled = [_alpha(count @ sums) for count in counts]
    low, high = np.nanquantile(resampled, (0.05, 0.95)) if not np.isnan(resampled).all() else (np.nan, np.nan)
    return Agreement(len(units), same, float(len(units)), _alpha(sums.sum(axis=0)), float(low), float(high))


def _outcomes(answer: Answer, of_list: Question | None) -> list[tuple[object, float]]:
    """Each pair that an answer decides, with the outcome for its lower index."""
    if of_list is None:
        return [(None, OUTCOMES[answer.verdict])]
    decided = answer.ranked(of_list).pairs(of_list.members)
    return [((a, b), value) if a < b else ((b, a), 1 - value) for a, b, value in decided]


def differ(answers: Sequence[Answer]) -> bool:
    """Whether some two answers to a question differ: in their grades, or in the side where one of them has no grade."""
    graded = {answer.said for answer in answers if answer.grade is not None}
    sides = {answer.verdict if answer.ranking is None else answer.ranking for answer in answers}
    return len(graded) > 1 or len(sides) > 1


def krippendorff_alpha(units: Sequence[np.ndarray]) -> float:
    """α of outcomes between 0 and 1, at least two for each unit; NaN where all are ties."""
    if any(len(values) < 2 for values in units):
        raise ValueError("expected at least two outcomes in every unit")
    return _alpha(_sums(units).sum(axis=0))


def _sums(units: Sequence[np.ndarray]) -> Float[np.ndarray, "unit 3"]:
    """The sums over units that α is a function of: n, Σ (v − ½)², and Σ_{i≠j} (v_i − v_j)² / (n − 1).

    About the middle, whose mean over both orientations is 0, the last is 2 (n Σ v² − (Σ v)²) / (n − 1).
    """
    n = np.array([len(values) for values in units])
    starts = np.concatenate([[0], np.cumsum(n)[:-1]])
    v = np.concatenate(list(units)) - 0.5
    total, square = np.add.reduceat(v, starts), np.add.reduceat(v**2, starts)
    return np.stack([n, square, 2 * (n * square - total**2) / (n - 1)], axis=1)


def _alpha(sums: Float[np.ndarray, "3"]) -> float:
    """1 − D_o / D_e; both orientations of N outcomes are 2N of variance Σ (v − ½)² / N."""
    n, square, observed = sums.tolist()
    if square <= 0:
        return float("nan")
    expected = 2 * square / n * 2 * n / (2 * n - 1)
    return 1 - observed / n / expected


def _mean_distance(values: np.ndarray) -> float:
    """Mean of |v_i − v_j| over pairs of one unit."""
    n = len(values)
    return float(np.abs(values[:, None] - values[None, :]).sum() / (n * (n - 1)))
