"""Later decisions about a campaign, in sentences: answers taken back, renamings, released pairs, closed batches."""

from __future__ import annotations

from collections import Counter

from bayesrm.campaign.store import Store
from bayesrm.utils.wording import counted, one_or_many


def decisions(store: Store) -> tuple[str, ...]:
    """A sentence for each decision that stands, with who made it, when and why; what was decided together is one."""
    return (*_taken_back(store), *_renamed(store), *_released(store), *_closed(store))


def _taken_back(store: Store) -> list[str]:
    found = Counter((why.retracted[:10], why.by, why.reason) for _, why in store.retracted())
    return [
        f"{counted(count, 'answer')} {one_or_many(count, 'was', 'were')} taken back {_decided(*decision)}"
        for decision, count in found.items()
    ]


def _renamed(store: Store) -> list[str]:
    lines = []
    for renaming in store.renamings():
        if renaming.answers is None:
            what = f"{renaming.old} is called {renaming.new} everywhere"
        else:
            answers = counted(len(renaming.answers), "answer")
            whose = f"of {renaming.old}" if renaming.old else "without a name"
            what = f"{answers} {whose} {one_or_many(len(renaming.answers), 'is', 'are')} {renaming.new}'s"
        lines.append(f"{what}: decided {_decided(renaming.renamed[:10], renaming.by, renaming.reason)}")
    return lines


def _released(store: Store) -> list[str]:
    batch_of = {question.id: question.batch for question in store.questions()}
    answered = {answer.question for answer in store.answers()}
    released = store.released().values()
    found = Counter((batch_of[one.question], one.released[:10], one.by, one.reason) for one in released)
    late = Counter(batch_of[one.question] for one in released if one.question in answered)
    lines = []
    for (batch, *decision), count in found.items():
        was = one_or_many(count, "was", "were")
        came = f" {counted(late[batch], 'answer')} came all the same." if late[batch] else ""
        lines.append(
            f"{counted(count, 'unanswered question')} of batch {batch} {was} released {_decided(*decision)}{came}"
        )
    return lines


def _closed(store: Store) -> list[str]:
    return [
        f"Batch {number} was closed {_decided(one.closed[:10], one.by, one.reason)}"
        for number, one in store.closed().items()
    ]


def _decided(day: str, by: str, reason: str) -> str:
    return f"on {day} by {by}, reason: {reason}."
