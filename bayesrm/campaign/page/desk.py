"""The desk: who answers what next, what is on whose screen, and what was said, for several annotators at once.

Everything is decided inside the transaction in which it is written, from a picture of the store in memory. The picture
is read anew when another command wrote to the store.
"""

from __future__ import annotations

import statistics
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bayesrm.campaign.answers import latest
from bayesrm.campaign.campaign import Campaign
from bayesrm.campaign.page.said import answer_of
from bayesrm.campaign.records import Answer, Question, as_text, now
from bayesrm.campaign.writing import Telling
from bayesrm.diagnostics.annotators import AnnotatorRecord
from bayesrm.errors import InvalidInputError

RESERVED = timedelta(minutes=10)
"""How long what is on a screen is kept for whoever reads it."""
RECENT = 30
"""Answers that the time for the next ones is estimated from."""
LONGEST = 86_400.0
"""Seconds; a question that was on a screen for longer was not read for that long."""


@dataclass(frozen=True)
class Progress:
    """Where an annotator stands.

    Parameters
    ----------
    answered
        How many answers of theirs count.
    left
        How many they can still give; others may be faster.
    seconds
        How long that takes, at the pace of their last answers and with everybody who is at it; None before the first.
    last
        The number of the row of the answer that they can take back; None where there is none.
    elsewhere
        How many questions they could answer are on the screens of others.
    """

    answered: int
    left: int
    seconds: float | None
    last: int | None
    elsewhere: int


class Chooser(ABC):
    """What makes new questions where those that were asked are answered, or on screens."""

    @abstractmethod
    def begin(self, desk: Desk) -> None:
        """Start working for a desk, which holds its lock during every later call."""

    @abstractmethod
    def end(self) -> None:
        """Stop; nothing runs beside the desk when this returns. The desk does not hold its lock."""

    @abstractmethod
    def left(self) -> int:
        """How many questions it would still make."""

    @abstractmethod
    def ask(self, telling: Telling) -> Question | None:
        """The best one now, kept in the store; None where there is no more."""

    @abstractmethod
    def told(self, question: Question, answer: Answer) -> None:
        """Follow an answer, exactly."""

    @abstractmethod
    def changed(self) -> None:
        """Follow answers that were taken back, or that another command told."""

    def annotators(self) -> Sequence[AnnotatorRecord]:
        """What its last fit says of the annotators; nothing where it does not fit."""
        return ()


class Desk:
    """A campaign that is being answered.

    Parameters
    ----------
    campaign
        The campaign.
    form
        What its answers are called among the files that were told: "page" or "terminal".
    chooser
        None serves only what was asked.
    reserved
        How long a question is kept for whoever has it on the screen.
    """

    def __init__(
        self,
        campaign: Campaign,
        form: str = "page",
        chooser: Chooser | None = None,
        reserved: timedelta = RESERVED,
    ) -> None:
        campaign.require_texts()
        self.campaign, self.form, self.chooser, self.reserved = campaign, form, chooser, reserved
        self.lock = threading.RLock()
        self._store = campaign.store
        self._store.keep_open()
        self._read()
        if chooser is not None:
            chooser.begin(self)

    def close(self) -> None:
        """Answer no more."""
        if self.chooser is not None:
            self.chooser.end()
        self._store.close()

    def next(self, who: str) -> Question | None:
        """The question that is on somebody's screen, or a new one; None where none is left for them now."""
        with self._writing() as telling:
            who = self._names.of(who)
            question = self._on_screen_of(who) or self._first_open(who)
            if question is None and self.chooser is not None:
                question = self.chooser.ask(telling)
                if question is not None:
                    self._add(question)
            if question is not None:
                self._show(telling, question, who)
        return question

    def on_screen(self, who: str) -> Question | None:
        """What somebody has on the screen, while it is kept for them."""
        with self.lock:
            return self._on_screen_of(self._names.of(who))

    def answer(
        self,
        who: str,
        name: str,
        side: str,
        key: str,
        seconds: float | None = None,
        order: str | None = None,
        points: int | None = None,
    ) -> str:
        """Keep an answer, on disk before this returns.

        Parameters
        ----------
        who
            The annotator.
        name
            The id of the question.
        side
            "left", "right", "tie" or "skip"; "ranked" of a list.
        key
            A new one for each answer, and the same when it is sent again.
        seconds
            How long they had it on the screen.
        order
            How a list is ranked, such as "B > A = D"; who is not named is below all that are.
        points
            By how many points of the campaign's scale that side is better; None where nobody said.

        Returns
        -------
        str
            "kept"; "already" where it was kept before, or they had answered; "closed" where no more answers are taken.

        Raises
        ------
        InvalidInputError
            Where there is no such question or side, or the order is none.
        """
        with self.lock:
            with self._writing() as telling:
                question = self._asked.get(name)
                if question is None:
                    raise InvalidInputError(f"no question of this campaign has the id {name[:60]!r}")
                grades = self.campaign.configuration.points
                said = answer_of(question, grades, side, order, points)
                who = self._names.of(who)
                if who in self._given.get(name, {}):
                    return "already"
                if question.batch in self._closed:
                    return "closed"
                took = None if seconds is None or not 0 <= seconds <= LONGEST else seconds
                given = replace(said, annotator=who, place=self.form, key=key, seconds=took)
                row, new = telling.answer(given, self.form)
            if new:
                self._keep(row)
                if self.chooser is not None:
                    self.chooser.told(question, row)
        return "kept" if new else "already"

    def undo(self, who: str, row: int) -> bool:
        """Take back an answer of somebody's own, and show them the question again; False where that was done before."""
        with self.lock:
            with self._writing() as telling:
                who = self._names.of(who)
                answer = next((own for own in self._history.get(who, []) if own.id == row), None)
                if answer is None:
                    return False
                telling.retract([row], who, f"undo on the {self.form}")
                self._release(telling, who)
                self._show(telling, self._asked[answer.question], who)
            self._history[who].remove(answer)
            del self._given[answer.question][who]
            self._sort_open()
            if self.chooser is not None:
                self.chooser.changed()
        return True

    def pause(self, who: str) -> None:
        """Release the question that an annotator has on the screen."""
        with self._writing() as telling:
            self._release(telling, self._names.of(who))

    def progress(self, who: str) -> Progress:
        """Where somebody stands."""
        with self.lock:
            who = self._names.of(who)
            mine = self._history.get(who, [])
            took = [answer.seconds for answer in mine[-RECENT:] if answer.seconds is not None]
            left = elsewhere = 0
            for question in self._open:
                if self._may_answer(question, who):
                    free = self._is_free(question, who)
                    left += free
                    elsewhere += not free
            left += self.chooser.left() if self.chooser is not None else 0
            at_it = max(1, len({name for screens in self._screens.values() for name in screens}))
            pace = statistics.median(took) if took else None
            return Progress(
                sum(who in given for given in self._given.values()),
                left,
                None if pace is None else pace * left / at_it,
                mine[-1].id if mine else None,
                elsewhere,
            )

    def screens(self) -> list[tuple[Question, str]]:
        """Which question is on whose screen, oldest first."""
        with self.lock:
            shown = sorted((until, name, who) for name, own in self._screens.items() for who, until in own.items())
            return [(self._asked[name], who) for _, name, who in shown]

    def standing(self) -> tuple[list[Question], list[Answer]]:
        """All questions, and the answers that count."""
        with self.lock:
            self._follow()
            return list(self._asked.values()), [row for given in self._given.values() for row in given.values()]

    # --- the picture of the store ---------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[Telling]:
        """One transaction; where it fails, the picture is read anew."""
        with self.lock:
            try:
                with self._store.telling() as telling:
                    self._follow()
                    yield telling
            except BaseException:
                self._version = -1
                raise

    def _follow(self) -> None:
        if self._store.version() != self._version:
            self._read()
            if self.chooser is not None:
                self.chooser.changed()
        at = now()
        for name, screens in list(self._screens.items()):
            current = {who: until for who, until in screens.items() if until > at}
            if current:
                self._screens[name] = current
            else:
                del self._screens[name]

    def _read(self) -> None:
        self._version = self._store.version()
        self._names = self._store.names()
        self._gone, self._closed = set(self._store.released()), set(self._store.closed())
        self._asked = {question.id: question for question in self._store.questions()}
        self._given: dict[str, dict[str, Answer]] = {}
        self._history: dict[str, list[Answer]] = {}
        self._screens = {
            name: {self._names.of(who): until for who, until in screens.items()}
            for name, screens in self._store.on_screens().items()
        }
        for answer in latest(self._store.answers()).values():
            self._keep(answer)
        self._sort_open()

    def _keep(self, answer: Answer) -> None:
        self._given.setdefault(answer.question, {})[answer.annotator] = answer
        if answer.key is not None:
            self._history.setdefault(answer.annotator, []).append(answer)
        self._screens.get(answer.question, {}).pop(answer.annotator, None)

    def _add(self, question: Question) -> None:
        self._asked[question.id] = question
        self._open.append(question)

    def _sort_open(self) -> None:
        self._open = [question for question in self._asked.values() if self._lacks(question)]

    # --- who may have what ----------------------------------------------------------------------------------

    def _lacks(self, question: Question) -> bool:
        if question.id in self._gone or question.batch in self._closed:
            return False
        return len(self._given.get(question.id, {})) < question.wanted

    def _may_answer(self, question: Question, who: str) -> bool:
        if not self._lacks(question) or who in self._given.get(question.id, {}):
            return False
        return not question.annotators or who in question.annotators

    def _is_free(self, question: Question, who: str) -> bool:
        others = sum(name != who for name in self._screens.get(question.id, {}))
        return len(self._given.get(question.id, {})) + others < question.wanted

    def _on_screen_of(self, who: str) -> Question | None:
        names = [name for name, screens in self._screens.items() if who in screens]
        return next((self._asked[name] for name in names if self._may_answer(self._asked[name], who)), None)

    def _first_open(self, who: str) -> Question | None:
        self._open = [question for question in self._open if self._lacks(question)]
        return next(self._free(self._open, who), None)

    def _free(self, questions: Iterable[Question], who: str) -> Iterator[Question]:
        return (each for each in questions if self._may_answer(each, who) and self._is_free(each, who))

    def _show(self, telling: Telling, question: Question, who: str) -> None:
        until = datetime.now(UTC) + self.reserved
        before = self._screens.get(question.id, {}).get(who)
        if before is not None and before > as_text(until - self.reserved / 2):
            return
        self._screens.setdefault(question.id, {})[who] = as_text(until)
        telling.show(question.id, who, as_text(until))

    def _release(self, telling: Telling, who: str) -> None:
        at = now()
        for name, screens in self._screens.items():
            if screens.pop(who, None) is not None:
                telling.show(name, who, at)
