"""Where a campaign stands: what was asked, what came back, what was set aside and why, and what the last fit found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bayesrm.campaign.agreement import Agreement, agreement, differ
from bayesrm.campaign.answers import latest
from bayesrm.campaign.campaign import Campaign
from bayesrm.campaign.findings import Findings
from bayesrm.campaign.fitting import labels_digest
from bayesrm.campaign.handing_out import BATCHES, stem_of
from bayesrm.campaign.history import decisions
from bayesrm.campaign.records import Answer
from bayesrm.campaign.store import GIVEN_HERE
from bayesrm.campaign.unasked import OF_POOL, TOLD


@dataclass(frozen=True)
class BatchStatus:
    """A batch.

    Parameters
    ----------
    number, asked, design
        Its number, when it was asked, and by which design.
    questions
        How many pairs.
    wanted
        How many answers that is, without those that are no longer waited for.
    answered
        Answers that count, skips among them.
    open
        Questions without any answer that are waited for.
    released
        Questions without any answer that may be asked again.
    closed
        Whether no further answers are taken.
    members
        How many responses each question shows: two of a pair, more of a list.
    unseen
        Whether nobody can have seen it who is not on the page: it was asked for files, none of which is in the folder
        of the campaign, and has no answer. So it is where ``ask`` was killed before it wrote them.
    """

    number: int
    asked: str
    design: str
    questions: int
    wanted: int
    answered: int
    open: int
    released: int = 0
    closed: bool = False
    members: int = 2
    unseen: bool = False


@dataclass(frozen=True)
class Status:
    """Where a campaign stands.

    Parameters
    ----------
    batches
        One by one.
    imported
        Labels that came with the pool.
    unasked
        Answers that count about pairs that were not asked here, from data sets that were told.
    files
        How many were told.
    used
        Answers that the fit uses.
    ties, skips
        Ties among them, and skips, which it does not use.
    superseded
        Answers in place of which their annotator has given a later one.
    conflicts
        Questions to which annotators gave different answers.
    aside
        Reason → number of rows that were set aside for it.
    left_share, left_of
        The share of answers for the response on the left, and of how many.
    people
        Annotator → answers that count.
    agreement
        Between annotators.
    rounds
        What each fit found, oldest first, the last of them with the newest labels if ``current``.
    current
        Whether the last fit knows all answers.
    retracted
        Answers that were taken back.
    decisions
        What was decided later about answers, people and batches, in sentences.
    rankings
        Answers that the fit uses which are about lists.
    texts
        Responses that were read for the answers that count, skips among them.
    """

    batches: tuple[BatchStatus, ...]
    imported: int
    unasked: int
    files: int
    used: int
    ties: int
    skips: int
    superseded: int
    conflicts: int
    aside: dict[str, int]
    left_share: float
    left_of: int
    people: dict[str, int]
    agreement: Agreement
    rounds: tuple[Findings, ...]
    current: bool
    retracted: int = 0
    decisions: tuple[str, ...] = ()
    rankings: int = 0
    texts: int = 0


def status(campaign: Campaign) -> Status:
    """Look at the store alone; nothing is fitted."""
    questions = {question.id: question for question in campaign.store.questions()}
    answers = campaign.store.answers()
    current = latest(answers)
    standing = list(current.values())
    by_batch = Counter(questions[answer.question].batch for answer in standing)
    answered = {answer.question for answer in standing}
    released, closed = campaign.store.released().keys() - answered, campaign.store.closed()
    given = Counter(answer.question for answer in standing)
    batches = []
    for entry in campaign.store.batches():
        number = entry["number"]
        own = [question for question in questions.values() if question.batch == number]
        waited_for = [question for question in own if question.id not in released and number not in closed]
        files = (campaign.directory / BATCHES).glob(f"{stem_of(number)}*")
        settled = sum(given[question.id] for question in own) - sum(given[question.id] for question in waited_for)
        batches.append(
            BatchStatus(
                number,
                entry["asked"],
                entry["design"],
                len(own),
                sum(question.wanted for question in waited_for) + settled,
                by_batch[number],
                sum(question.id not in answered for question in waited_for),
                sum(question.id in released for question in own),
                number in closed,
                max((len(question.shown) for question in own), default=2),
                bool(waited_for) and not by_batch[number] and "live" not in entry and not any(files),
            )
        )
    said: dict[str, list[Answer]] = {}
    for answer in standing:
        if answer.verdict != "skip":
            said.setdefault(answer.question, []).append(answer)
    decided = [answer for answer in standing if answer.verdict in ("first", "second")]
    decided = [answer for answer in decided if questions[answer.question].batch > 0]
    left = sum((answer.verdict == "first") == questions[answer.question].first_is_left for answer in decided)
    rounds, sources = campaign.store.rounds(), campaign.store.sources()
    digest = labels_digest(campaign.preferences())
    return Status(
        tuple(batches),
        imported=sum(source["new"] for source in sources if source["format"] == OF_POOL),
        unasked=by_batch[TOLD],
        files=sum(source["format"] not in (OF_POOL, *GIVEN_HERE) for source in sources),
        used=sum(answer.verdict != "skip" for answer in standing),
        ties=sum(answer.verdict == "tie" for answer in standing),
        skips=sum(answer.verdict == "skip" for answer in standing),
        superseded=len(answers) - len(standing),
        conflicts=sum(map(differ, said.values())),
        aside=dict(Counter(_kind(reason) for _, _, reason in campaign.store.asides()).most_common()),
        left_share=left / len(decided) if decided else float("nan"),
        left_of=len(decided),
        people=dict(Counter(answer.annotator for answer in standing).most_common()),
        agreement=agreement(answers, questions.values()),
        rounds=tuple(Findings.from_json(entry["findings"]) for entry in rounds),
        current=bool(rounds) and rounds[-1]["labels_digest"] == digest,
        retracted=len(campaign.store.retracted()),
        decisions=decisions(campaign.store),
        rankings=sum(answer.verdict != "skip" and questions[answer.question].is_list for answer in standing),
        texts=sum(
            len(questions[answer.question].shown) for answer in standing if questions[answer.question].batch > 0
        ),
    )


def _kind(reason: str) -> str:
    """A reason without what is particular to one row."""
    return reason.split(", got ")[0].split(" the id ")[0]
