"""Taking a file of answers: all of it in one transaction, and what cannot be taken with a reason.

A file of the same content told again changes nothing, also where answers of it were corrected since. Of another file, a
row changes nothing where the same annotator has given the same answer at the same time before, or where it repeats the
answer of theirs that counts now.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bayesrm.campaign.answers import latest
from bayesrm.campaign.as_asked import Asked, check
from bayesrm.campaign.copies import refuse_copy
from bayesrm.campaign.grades import outcome_of_points
from bayesrm.campaign.handoff import HANDOFFS
from bayesrm.campaign.handoff.base import Broken, HandOff, ParsedAnswer
from bayesrm.campaign.handoff.files import read_answers, suffix_of
from bayesrm.campaign.handoff.grades import of_grades
from bayesrm.campaign.handoff.rankings import of_lists
from bayesrm.campaign.handoff.tables import is_id
from bayesrm.campaign.meanings import settle
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.store import Store
from bayesrm.campaign.users import notes_on_users, refuse_second_name, with_names
from bayesrm.campaign.who import who_answered
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
    older
        Corrections that bear an earlier time than the answer that they correct.
    kept_back
        Answers that were taken back before, and stay so.
    dry_run
        Whether this is only what would become of it.
    unasked
        How many of the new answers are about pairs that the campaign never asked about.
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
    older: int = 0
    kept_back: int = 0
    dry_run: bool = False
    unasked: int = 0

    def counts(self) -> dict[str, int]:
        """The figures, by name."""
        names = ("new", "corrected", "late", "ties", "skips", "repeated", "open", "older", "kept_back", "unasked")
        return {name: getattr(self, name) for name in names} | {"aside": len(self.aside)}

    def __str__(self) -> str:
        if self.already is not None:
            return f"{self.name} was told before, at {self.already[:19]}Z, so nothing changed."
        details = [
            f"{count} {what}"
            for count, what in (
                (self.corrected, one_or_many(self.corrected, "of them a correction", "of them corrections")),
                (
                    self.older,
                    "of these with an earlier time than the answer before, which it replaces all the same",
                ),
                (self.unasked, "about pairs that were never asked"),
                (self.late, one_or_many(self.late, "to an older batch", "to older batches")),
                (self.ties, one_or_many(self.ties, "tie", "ties")),
                (self.skips, one_or_many(self.skips, "skip", "skips")),
            )
            if count
        ]
        has = "would bring" if self.dry_run else "has"
        text = f"{self.name} ({self.format}) {has} {counted(self.new, 'new answer')}{_bracketed(details)}"
        still_open = one_or_many(self.open, "question still open", "questions still open")
        others = [
            f"{count} {what}" for count, what in ((self.repeated, "told before"), (self.open, still_open)) if count
        ]
        text += f", {', '.join(others)}." if others else "."
        if self.kept_back:
            stay = one_or_many(
                self.kept_back, "answer that was taken back stays", "answers that were taken back stay"
            )
            text += f" {self.kept_back} {stay} so: --again takes them after all."
        if self.aside:
            text += f" Set aside: {len(self.aside)}."
            text += "".join(f"\n  {place}: {reason}" for place, reason in self.aside[:SHOWN])
            if len(self.aside) > SHOWN:
                text += f"\n  … and {len(self.aside) - SHOWN} more, which status --aside lists"
        lines = [text, *self.notes, *(["Nothing was written."] if self.dry_run else [])]
        return "\n".join(lines)


def tell(
    store: Store,
    path: Path,
    form: str | None = None,
    annotator: str = "",
    meanings: Mapping[str, str] | None = None,
    asked: Asked | None = None,
    dry_run: bool = False,
    again: bool = False,
    users: Mapping[str, str] | None = None,
    grades: int | None = None,
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
    dry_run
        Whether to say only what would become of it, and to write nothing.
    again
        Whether to take answers that were taken back, or that somebody else gave in the same way.
    users
        What a file calls who answered → their name.
    grades
        Points of the scale that answers are on; None where they only say which is better.

    Raises
    ------
    InvalidInputError
        Where there is no such file, nothing of it can be read, what its answers mean is not known, no row of it belongs
        to the campaign, it is a copy of what was told under another name, or it does not say who answered; nothing is
        changed then.
    """
    data = read_answers(path)
    handoff = recognised(data, path) if form is None else HANDOFFS[form]()
    # No store takes half characters.
    name, annotator = (text.encode(errors="backslashreplace").decode() for text in (path.name, annotator))
    questions = {question.id: question for question in store.questions()}
    parts = settle(of_grades(of_lists(handoff.read(data), questions), questions, grades), meanings or {}, name)
    if not any(part.question in questions for part in parts if isinstance(part, ParsedAnswer)):
        raise InvalidInputError(_foreign(path, parts))
    notes = notes_on(parts, questions, annotator) if handoff.filled_in else []
    if handoff.identifies_annotators or users:
        notes += notes_on_users(parts, questions, store.names(), users or {})
    if users:
        refuse_second_name(users, store.answers())
        parts = with_names(parts, users)
    if asked is not None:
        parts, others = check(parts, asked, handoff.filled_in)
        notes += others
    said = [sorted(words.items()) for words in (meanings, users) if words]
    content = data + b"".join(json.dumps(words).encode() for words in said)
    file = _File(name, hashlib.sha256(content).hexdigest(), handoff.name, annotator, parts, grades)
    with store.reading() if dry_run else store.telling() as telling:
        report, taken = _take(telling, file, questions, again)
        if report.already is not None:
            return report
        if not dry_run:
            telling.add(file.name, file.sha256, file.form, annotator, report.counts(), taken, report.aside)
    return dataclasses.replace(report, notes=tuple(notes), dry_run=dry_run)


def recognised(data: bytes, path: Path) -> HandOff:
    """The format of a file: the first that knows it by its content, else the one of its suffix."""
    if not data.strip():
        raise InvalidInputError(f"expected answers in {path}, and the file is empty")
    suffix = suffix_of(path)
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


@dataclass(frozen=True)
class _File:
    """A file that is told: its name, digest and format, who answered where it does not say, its parts, its scale."""

    name: str
    sha256: str
    form: str
    annotator: str
    parts: Sequence[ParsedAnswer | Broken]
    grades: int | None = None


def _take(
    telling: Telling, file: _File, questions: dict[str, Question], again: bool
) -> tuple[TellReport, list[Answer]]:
    """What becomes of a file, and the answers of it that are new."""
    names, before, closed = telling.names(), telling.answers(), telling.closed()
    known = [there for there in telling.known(file.sha256) if not there.taken_back]
    # A file that was said to be somebody's is still theirs.
    annotator = file.annotator or (known[-1].annotator if known else "")
    # The very file that was taken back is meant when it is told again; others bring back nothing by the way.
    restored = again or any(there.taken_back for there in telling.known(file.sha256))
    back = set() if restored else telling.kept_back()
    current = latest(before)
    history = {(a.question, a.annotator, a.said, a.answered) for a in before}
    # What the very file said before was told then, whatever came after it: a row without a time could else be a change
    # of mind, back to an answer that was given before.
    of_file = {(a.question, a.annotator, a.said) for a in before} if known and not again else set()
    newest = max((question.batch for question in questions.values()), default=0)
    taken: list[Answer] = []
    aside: list[tuple[str, str]] = []
    counts: Counter[str] = Counter()
    people = who_answered(file.name, file.parts, questions, before, names, annotator)
    for part, told_as in _by_time(file.parts, people):
        if isinstance(part, Broken):
            aside.append((part.place, part.reason))
            continue
        question = questions.get(part.question)
        if question is None:
            aside.append((part.place, f"no question of this campaign has the id {part.question[:60]!r}"))
            continue
        if part.side is None:
            counts["open"] += 1
            continue
        who = names.of(told_as)
        answer = _answer(part, question, told_as, file.grades)
        standing = current.get((question.id, who))
        said = (question.id, who, answer.said, part.answered)
        if (
            (part.answered is not None and said in history)
            or said[:3] in of_file
            or (standing is not None and standing.said == answer.said)
        ):
            counts["repeated"] += 1
            continue
        if said in back:
            counts["kept_back"] += 1
            continue
        if question.batch in closed:
            aside.append(
                (part.place, f"batch {question.batch} is closed: close --reopen takes answers to it again")
            )
            continue
        history.add(said)
        taken.append(answer)
        counts["late"] += 0 < question.batch < newest
        counts["corrected"] += standing is not None
        if standing is not None and standing.answered and part.answered and part.answered < standing.answered:
            counts["older"] += 1
        current[question.id, who] = dataclasses.replace(answer, annotator=who)
    if known and not taken and not again:
        return TellReport(file.name, file.form, already=known[-1].told), []
    if taken and not again:
        refuse_copy(file.name, annotator, taken, known, questions, before, names)
    report = TellReport(
        file.name,
        file.form,
        new=len(taken),
        ties=sum(answer.verdict == "tie" for answer in taken),
        skips=sum(answer.verdict == "skip" for answer in taken),
        aside=tuple(aside),
        corrected=counts["corrected"],
        late=counts["late"],
        repeated=counts["repeated"],
        open=counts["open"],
        older=counts["older"],
        kept_back=counts["kept_back"],
    )
    return report, taken


def _answer(part: ParsedAnswer, question: Question, who: str, grades: int | None) -> Answer:
    """An answer as the store keeps it."""
    verdict = question.verdict(str(part.side))
    answer = Answer(question.id, who, verdict, part.answered, part.place, part.comment)
    if part.ranking is not None:
        return dataclasses.replace(answer, ranking=part.ranking.of(question.members).as_json())
    if part.points is None or grades is None:
        return answer
    grade = outcome_of_points(verdict, part.points, grades)
    return dataclasses.replace(answer, margin=float(part.points), grade=grade)


def _by_time(
    parts: Sequence[ParsedAnswer | Broken], people: Sequence[str]
) -> list[tuple[ParsedAnswer | Broken, str]]:
    """Parts with who answered; what one person says twice of a question in one file, in the order of its times."""
    rows: list[tuple[ParsedAnswer | Broken, str]] = list(zip(parts, people, strict=True))
    several: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for at, (part, who) in enumerate(rows):
        if isinstance(part, ParsedAnswer) and part.side is not None:
            several.setdefault((part.question, who), []).append((part.answered or "", at))
    ordered = list(rows)
    for times in several.values():
        if all(time for time, _ in times):
            for (_, at), (_, then) in zip(times, sorted(times), strict=True):
                ordered[at] = rows[then]
    return ordered


def _foreign(path: Path, parts: Sequence[ParsedAnswer | Broken]) -> str:
    """That no row of a file belongs to a campaign."""
    if not parts:
        return f"no row of {path} belongs to this campaign, for it has none: export it again, with its answers"
    ids = [part for part in parts if isinstance(part, ParsedAnswer)]
    if not ids:
        broken = [part for part in parts if isinstance(part, Broken)]
        return (
            f"no row of {path} is an answer to this campaign ({broken[0].place}: {broken[0].reason}), so nothing was "
            "taken: correct the rows, and tell it again"
        )
    return (
        f"no row of {path} belongs to this campaign ({ids[0].place}: it has no question {ids[0].question[:60]!r}), so "
        "nothing was taken: tell it to the campaign that asked it; a copy that asked on is another campaign"
        f"{_BROUGHT if is_id(ids[0].question) else ''}"
    )


_BROUGHT = (
    ". Where its labels are to count here, too, they come by the texts of their pairs: bayesrm campaign labels OTHER "
    "--to csv, and tell that file; if that campaign is lost, --again takes this one so"
)
"""How labels of a campaign get into another one."""


def _bracketed(details: list[str]) -> str:
    return f" ({', '.join(details)})" if details else ""
