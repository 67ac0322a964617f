"""The labels of a campaign as rows: which answers count, and what becomes of ties and of conflicts.

A row says that one response was preferred to another, or that they are a tie. With every answer a row of its own, the
rows are what the campaign itself is fitted to. A soft label, a probability q that the first is better, is two rows in
both orders with weights q and 1 − q, which count as it does under Bradley–Terry.

A ranking of a list is a row for each pair that it decides, under the id of its question and the letters of the two:
programs that take these rows know pairs only. Told again they count as pairs, which is more than the ranking says, and
a fit to them is another one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from bayesrm.campaign.agreement import differ
from bayesrm.campaign.answers import OUTCOMES, latest, outcome_of
from bayesrm.campaign.rankings import LETTERS
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.source import prompt_messages, prompt_texts
from bayesrm.errors import InvalidInputError

if TYPE_CHECKING:
    from bayesrm.campaign.campaign import Campaign

VERDICTS = {outcome: verdict for verdict, outcome in OUTCOMES.items()}
TIES = ("keep", "half", "drop")
CONFLICTS = ("all", "majority")
WEIGHTS = "weights of labels, which the format cannot say; soft labels are their likelier side"
CROSS_PROMPT = "labels of responses to different prompts, which chosen and rejected cannot say"


@dataclass(frozen=True)
class LabelRow:
    """One preference.

    Parameters
    ----------
    question
        The id of its question, with the letters of both responses in the order in which they were shown where it was
        about a list.
    prompt
        The prompt as a text.
    messages
        The prompt as messages of a chat, where the pool has dialogues; else None.
    chosen, rejected
        The preferred response and the other one; of a tie, the first and the second.
    winner
        "chosen", or "tie".
    chosen_is_left
        Whether the chosen response stood on the left.
    annotator
        Who said it; "" where nobody is named or several are counted together.
    answered
        When, in ISO 8601 and UTC, where that is known: the latest of answers that are counted together.
    weight
        How much the row counts.
    votes
        How many answers its question has.
    vote_share
        The share of these for the chosen response, a tie half.
    margin
        By how much the chosen one is better, where a data set that was told says so.
    importance
        The importance weight of its pair, which corrects for the design's selection bias; 1 where pairs were not
        sampled.
    batch, design
        In which batch and by which design the pair was chosen.
    """

    question: str
    prompt: str
    messages: tuple[dict[str, str], ...] | None
    chosen: str
    rejected: str
    winner: str
    chosen_is_left: bool
    annotator: str
    answered: str | None
    weight: float
    votes: int
    vote_share: float
    margin: float | None
    importance: float
    batch: int
    design: str

    @property
    def left_and_right(self) -> tuple[str, str]:
        """The responses as they stood."""
        return (self.chosen, self.rejected) if self.chosen_is_left else (self.rejected, self.chosen)

    @property
    def side(self) -> str:
        """The answer as it was given: "left", "right" or "tie"."""
        return "tie" if self.winner == "tie" else "left" if self.chosen_is_left else "right"

    def reversed(self) -> LabelRow:
        """With both responses in the other order."""
        margin = None if self.margin is None else -self.margin
        return replace(
            self,
            chosen=self.rejected,
            rejected=self.chosen,
            chosen_is_left=not self.chosen_is_left,
            vote_share=1 - self.vote_share,
            margin=margin,
        )


@dataclass(frozen=True)
class Labels:
    """Rows, by which rule, and what is not among them.

    Parameters
    ----------
    rows
        In the order of the questions.
    ties, conflicts
        The rule.
    answers, skips, tied, questions, disagreements
        How many answers count, how many more are skips, how many of those that count are ties, how many questions they
        are about, and on how many of these annotators differ.
    left_out
        Reason → how many labels are not among the rows.
    rankings
        How many of the answers are rankings of lists.
    """

    rows: tuple[LabelRow, ...]
    ties: str
    conflicts: str
    answers: int
    skips: int
    tied: int
    questions: int
    disagreements: int
    left_out: dict[str, int]
    rankings: int = 0


@dataclass(frozen=True)
class _Said:
    """What is said of a question, by one annotator or by the majority."""

    outcome: float
    annotator: str
    answered: str | None
    weight: float
    margin: float | None


def label_rows(campaign: Campaign, ties: str = "keep", conflicts: str = "all", weights: bool = True) -> Labels:
    """The answers that count, as rows.

    Parameters
    ----------
    campaign
        The campaign.
    ties
        "keep" marks them as such, "half" writes each in both orders with half the weight, "drop" leaves them out.
    conflicts
        "all" writes every answer; "majority" one row for each question, as most of its votes by weight say, a draw
        being a tie.
    weights
        Whether rows may have weights; without them a soft label is its likelier side.

    Raises
    ------
    InvalidInputError
        Where there is no such rule, the pool has no texts, or there are no answers.
    """
    for name, value, known in (("ties", ties, TIES), ("conflicts", conflicts, CONFLICTS)):
        if value not in known:
            raise InvalidInputError(f"expected {name} to be {' or '.join(known)}, got {value!r}")
    if ties == "half" and not weights:
        raise InvalidInputError(
            "expected a format with weights for ties='half', got one without: keep or drop ties"
        )
    campaign.require_texts()
    standing = list(latest(campaign.store.answers()).values())
    used: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in standing:
        if answer.verdict != "skip":
            used[answer.question].append(answer)
    if not used:
        raise InvalidInputError(
            f"expected answers in {campaign.directory}, and there are none yet: ask, and tell what comes back"
        )
    context = _Context(campaign)
    rows: list[LabelRow] = []
    left_out: dict[str, int] = {}
    disagreements = 0
    for question in campaign.store.questions():
        answers = sorted(used.get(question.id, []), key=lambda answer: (answer.annotator, answer.vote))
        if not answers:
            continue
        disagreements += differ(answers)
        if campaign.pool.group[question.first] != campaign.pool.group[question.second]:
            left_out[CROSS_PROMPT] = left_out.get(CROSS_PROMPT, 0) + len(answers)
            continue
        for pair, votes in _as_pairs(question, answers):
            said = [_majority(votes)] if conflicts == "majority" else list(map(_one, votes))
            share = _share(votes)
            for one in said:
                if not weights and (one.weight != 1 or one.outcome not in (0.0, 0.5, 1.0)):
                    left_out[WEIGHTS] = left_out.get(WEIGHTS, 0) + 1
                    one = replace(one, weight=1.0, outcome=0.5 + 0.5 * float(np.sign(one.outcome - 0.5)))
                tied = one.outcome == 0.5
                if tied and ties == "drop":
                    left_out["ties"] = left_out.get("ties", 0) + 1
                    continue
                rows += _orders(context.row(pair, one, len(votes), share), one.outcome, tied and ties == "half")
    every = [answer for answers in used.values() for answer in answers]
    return Labels(
        tuple(rows),
        ties,
        conflicts,
        len(every),
        len(standing) - len(every),
        sum(answer.verdict == "tie" for answer in every),
        len(used),
        disagreements,
        left_out,
        sum(question.is_list and len(used.get(question.id, [])) for question in campaign.store.questions()),
    )


def _as_pairs(question: Question, answers: Sequence[Answer]) -> Iterator[tuple[Question, Sequence[Answer]]]:
    """A pair as it is; of a list, each pair that an answer decides, with what is said of it."""
    if not question.is_list:
        yield question, answers
        return
    decided = [
        {(a, b): outcome for a, b, outcome in answer.ranked(question).pairs(question.members)}
        for answer in answers
    ]
    letters = dict(zip(question.members, LETTERS, strict=False))
    for first, second in question.pairs:
        votes = []
        for answer, said in zip(answers, decided, strict=True):
            outcome = said.get((first, second), 1 - said.get((second, first), float("nan")))
            if not np.isnan(outcome):
                votes.append(replace(answer, verdict=VERDICTS[outcome], ranking=None))
        if votes:
            pair = replace(
                question,
                id=f"{question.id}:{letters[first]}{letters[second]}",
                first=first,
                second=second,
                members=(),
            )
            yield pair, votes


class _Context:
    """What rows need of a campaign beside an answer."""

    def __init__(self, campaign: Campaign) -> None:
        assert campaign.pool.texts is not None
        self._texts: Sequence[str] = campaign.pool.texts
        self._prompts = prompt_texts(campaign.pool_path, campaign.pool)
        self._messages = prompt_messages(campaign.pool_path, len(campaign.pool))
        self._designs = {entry["number"]: entry["design"] for entry in campaign.store.batches(asked=False)}
        self._importance: dict[tuple[int, int], float] = {
            (entry["number"], place): weight
            for entry in campaign.store.batches()
            for place, weight in enumerate(entry.get("importance") or [], start=1)
        }

    def row(self, question: Question, said: _Said, votes: int, share: float) -> LabelRow:
        """As a row in which the first is chosen."""
        first, second = question.first, question.second
        return LabelRow(
            question.id,
            self._prompts[first],
            None if self._messages is None else self._messages[first],
            self._texts[first],
            self._texts[second],
            "tie" if said.outcome == 0.5 else "chosen",
            question.first_is_left,
            said.annotator,
            said.answered,
            said.weight,
            votes,
            share,
            said.margin,
            self._importance.get((question.batch, question.place), 1.0),
            question.batch,
            self._designs.get(question.batch, ""),
        )


def _orders(row: LabelRow, outcome: float, both: bool) -> Iterator[LabelRow]:
    """The rows of one label: in the order that it says, or in both."""
    if both or outcome not in (0.0, 0.5, 1.0):
        yield replace(row, weight=row.weight * outcome)
        yield replace(row.reversed(), weight=row.weight * (1 - outcome))
    else:
        yield row.reversed() if outcome == 0 else row


def _one(answer: Answer) -> _Said:
    weight = 1.0 if answer.weight is None else answer.weight
    margin = answer.margin
    # A data set says by how much the better one is better, whichever that is.
    if margin is not None and answer.verdict == "second":
        margin = -margin
    return _Said(outcome_of(answer), answer.annotator, answer.answered, weight, margin)


def _majority(answers: Sequence[Answer]) -> _Said:
    share = _share(answers)
    outcome = 0.5 if np.isclose(share, 0.5) else float(share > 0.5)
    names = {answer.annotator for answer in answers}
    when = max((answer.answered for answer in answers if answer.answered is not None), default=None)
    return _Said(outcome, names.pop() if len(names) == 1 else "", when, 1.0, None)


def _share(answers: Sequence[Answer]) -> float:
    """The share of votes for the first, by weight."""
    weights = np.array([1.0 if answer.weight is None else answer.weight for answer in answers])
    return float(weights @ np.array([outcome_of(answer) for answer in answers]) / weights.sum())


def by_question(rows: Sequence[LabelRow]) -> Iterator[list[LabelRow]]:
    """Rows of one question together."""
    for _, group in groupby(rows, key=lambda row: row.question):
        yield list(group)
