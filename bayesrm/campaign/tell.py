"""Taking a file of answers: all of it in one transaction, and what cannot be taken with a reason.

A file of the same content told again changes nothing. Of another file, a row changes nothing where the same annotator
has given the same answer at the same time before, or where it repeats the answer of theirs that counts now.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bayesrm.campaign.answers import latest
from bayesrm.campaign.as_asked import Asked, check
from bayesrm.campaign.handoff import HANDOFFS
from bayesrm.campaign.handoff.base import Broken, HandOff, ParsedAnswer
from bayesrm.campaign.meanings import settle
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.store import Store
from bayesrm.campaign.whole_file import notes_on
from bayesrm.campaign.writing import Telling
from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import counted, one_or_many

SHOWN = 10
"""Rows that were set aside are told one by one up to this many."""


@dataclass(frozen=True)
class TellReport:
    """What became of a file.

    Parameters
    ----------
    name, format
        The file, and what it was read as.
    new
        Answers that are new.
    corrected
        How many of them replace another answer of the same annotator.
    late
        How many of them belong to an older batch than the last one.
    ties, skips
        How many of them are ties and skips.
    repeated
        Answers that were told before.
    open
        Questions that stand in the file without an answer.
    aside
        Place and reason of what was set aside.
    already
        When a file of this content was told, if it was; then nothing changed.
    notes
        What else should be known of the file: a sentence each.
    """

    name: str
    format: str
    new: int = 0
    corrected: int = 0
    late: int = 0
    ties: int = 0
    skips: int = 0
    repeated: int = 0
    open: int = 0
    aside: tuple[tuple[str, str], ...] = ()
    already: str | None = None
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """The figures, by name."""
        names = ("new", "corrected", "late", "ties", "skips", "repeated", "open")
        return {name: getattr(self, name) for name in names} | {"aside": len(self.aside)}

    def __str__(self) -> str:
        if self.already is not None:
            return f"{self.name} was told before, at {self.already[:19]}Z, so nothing changed."
        details = [
            f"{count} {what}"
            for count, what in (
                (self.corrected, one_or_many(self.corrected, "of them a correction", "of them corrections")),
                (self.late, one_or_many(self.late, "to an older batch", "to older batches")),
                (self.ties, one_or_many(self.ties, "tie", "ties")),
                (self.skips, one_or_many(self.skips, "skip", "skips")),
            )
            if count
        ]
        text = f"{self.name} ({self.format}) has {counted(self.new, 'new answer')}{_bracketed(details)}"
        still_open = one_or_many(self.open, "question still open", "questions still open")
        others = [
            f"{count} {what}" for count, what in ((self.repeated, "told before"), (self.open, still_open)) if count
        ]
        text += f", {', '.join(others)}." if others else "."
        if self.aside:
            text += f" Set aside: {len(self.aside)}."
            text += "".join(f"\n  {place}: {reason}" for place, reason in self.aside[:SHOWN])
            if len(self.aside) > SHOWN:
                text += f"\n  … and {len(self.aside) - SHOWN} more, which status --aside lists"
        return "\n".join([text, *self.notes])


def tell(
    store: Store,
    path: Path,
    form: str | None = None,
    annotator: str = "",
    meanings: Mapping[str, str] | None = None,
    asked: Asked | None = None,
) -> TellReport:
    """Take a file.

    Parameters
    ----------
    store
        Where answers go.
    path
        The file.
    form
        Its format; None recognises it.
    annotator
        Who answered, where the file does not say.
    meanings
        Words of answers → sides, for words that name none or another one.
    asked
        What was asked, with which the texts of a file are compared; None compares nothing.

    Raises
    ------
    InvalidInputError
        Where there is no such file, nothing of it can be read, or what its answers mean is not known; nothing is
        changed then.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"the file {path!s:.200} cannot be read ({getattr(error, 'strerror', error)})"
        ) from error
    handoff = recognised(data, path) if form is None else HANDOFFS[form]()
    # No store takes half characters.
    name, annotator = (text.encode(errors="backslashreplace").decode() for text in (path.name, annotator))
    parts = settle(handoff.read(data), meanings or {}, name)
    questions = {question.id: question for question in store.questions()}
    notes = notes_on(parts, questions, annotator) if handoff.filled_in else []
    if asked is not None:
        parts, others = check(parts, asked, handoff.filled_in)
        notes += others
    content = data + json.dumps(sorted((meanings or {}).items())).encode() if meanings else data
    with store.telling() as telling:
        report = _take(telling, name, content, handoff.name, annotator, parts, questions)
    return report if report.already else dataclasses.replace(report, notes=tuple(notes))


def recognised(data: bytes, path: Path) -> HandOff:
    """The format of a file: the first that knows it by its content, else the one of its suffix."""
    if not data.strip():
        raise InvalidInputError(f"expected answers in {path}, and the file is empty")
    suffix = path.suffix.lower()
    if data.startswith(b"PK\x03\x04"):
        raise InvalidInputError(
            f"expected {path} as text, and it is a packed file, such as a workbook of a spreadsheet: save it as CSV in "
            "UTF-8"
        )
    for part in sorted(HANDOFFS.values(), key=lambda part: (part.order, part.name)):
        handoff = part()
        if handoff.recognises(data, suffix):
            return handoff
    raise InvalidInputError(
        f"expected {path} in one of the formats {', '.join(HANDOFFS)}, and it is like none of them: say which with "
        "--from, or export it again"
    )


def _take(
    telling: Telling,
    name: str,
    data: bytes,
    form: str,
    annotator: str,
    parts: list[ParsedAnswer | Broken],
    questions: dict[str, Question],
) -> TellReport:
    sha256 = hashlib.sha256(data).hexdigest()
    for there in telling.known(sha256):
        if there.annotator == annotator and not there.taken_back:
            return TellReport(name, form, already=there.told)
    before = telling.answers()
    current = latest(before)
    history = {(a.question, a.annotator, a.verdict, a.answered) for a in before}
    newest = max((question.batch for question in questions.values()), default=0)
    taken: list[Answer] = []
    aside: list[tuple[str, str]] = []
    corrected = late = repeated = still_open = 0
    for part in parts:
        if isinstance(part, Broken):
            aside.append((part.place, part.reason))
            continue
        question = questions.get(part.question)
        if question is None:
            aside.append((part.place, f"no question of this campaign has the id {part.question[:60]!r}"))
            continue
        if part.side is None:
            still_open += 1
            continue
        who = part.annotator or annotator
        answer = Answer(question.id, who, question.verdict(part.side), part.answered, part.place, part.comment)
        standing = current.get((question.id, who))
        said = (question.id, who, answer.verdict, part.answered)
        if (part.answered is not None and said in history) or (
            standing is not None and standing.verdict == answer.verdict
        ):
            repeated += 1
            continue
        history.add(said)
        taken.append(answer)
        late += question.batch < newest
        corrected += standing is not None
        current[question.id, who] = answer
    report = TellReport(
        name,
        form,
        new=len(taken),
        corrected=corrected,
        late=late,
        ties=sum(answer.verdict == "tie" for answer in taken),
        skips=sum(answer.verdict == "skip" for answer in taken),
        repeated=repeated,
        open=still_open,
        aside=tuple(aside),
    )
    telling.add(name, sha256, form, annotator, report.counts(), taken, aside)
    return report


def _bracketed(details: list[str]) -> str:
    return f" ({', '.join(details)})" if details else ""
