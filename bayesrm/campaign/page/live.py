"""Live mode: after each answer an exact update and the best pair of all, while full refits run beside it.

An answer conditions the last layer by Newton's method (:class:`bayesrm.design.live.Live`); features and prior scales
stay as the last full fit left them. While people read, what follows from either answer is prepared
(:mod:`bayesrm.campaign.page.ahead`), and another process fits anew when enough answers came
(:mod:`bayesrm.campaign.page.beside`): what it has found takes the place of the old posterior at once, with the answers
that came meanwhile. Nobody waits for it. Every pair is the one that the design would choose given all answers that were
kept before and the features of the last fit. Where there was no time to prepare, it is the best of some hundred pairs
that were good a moment ago, given all those answers, too; how reliable each annotator is follows within a second.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayesrm import rng
from bayesrm.campaign.answers import as_preferences
from bayesrm.campaign.asking import Request
from bayesrm.campaign.campaign import Campaign
from bayesrm.campaign.fitting import labels_digest
from bayesrm.campaign.grades import outcome_of_points, points_of
from bayesrm.campaign.page.ahead import Ahead, Key
from bayesrm.campaign.page.beside import Fitter, FitterBeside
from bayesrm.campaign.page.desk import Chooser, Desk
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.writing import Telling
from bayesrm.design.candidates.alike import AskedInWords
from bayesrm.design.live import Live
from bayesrm.diagnostics.annotators import AnnotatorRecord
from bayesrm.errors import CapabilityError, InvalidInputError, NoCandidatesError
from bayesrm.types import Comparisons, Preferences

REFIT_AFTER = 10
"""Answers after which a full fit begins; later, a tenth of all."""
logger = logging.getLogger(__name__)


class LiveChooser(Chooser):
    """Chooses one pair after another from all that were not asked.

    Parameters
    ----------
    campaign
        The campaign.
    request
        Which pairs, by which design, and how many; without caps, which are about batches.

    Raises
    ------
    InvalidInputError
        Where the request has caps or chooses annotators, or no pair is left.
    """

    def __init__(self, campaign: Campaign, request: Request) -> None:
        if request.choose_annotators:
            raise InvalidInputError(
                "expected a request without choose_annotators, as whoever is at a live page gets the next pair, got "
                "one with it: ask a batch with Campaign.ask, whose questions the page shows to those they are for"
            )
        self._request = request
        self._seed, self._tag = int(campaign.settings["seed"]), campaign.settings["tag"]
        self._points = campaign.configuration.points
        here = Fitter(campaign, request)
        self._plan, self._constraints = here.plan, here.constraints
        first = here.fit(0)
        self._live, self._digest, self._labels = first.live, first.digest, first.labels
        self._annotators, self._spent = first.annotators, first.spent
        self._fits, self._since = 1, 0
        self._beside, self._ahead = FitterBeside(campaign, request, here.own), Ahead(self._look, self._learn)
        self._batch: int | None = None
        self._made = 0
        self._wanted, self._ended = threading.Event(), threading.Event()
        self._fitting = threading.Thread(target=self._refit, name="refit", daemon=True)

    def begin(self, desk: Desk) -> None:
        """Follow what the desk knows, and begin to fit and to prepare beside it."""
        self._desk = desk
        self._follow()
        self._fitting.start()
        self._ahead.begin()

    def end(self) -> None:
        """Stop fitting, and wait until nothing runs beside the page."""
        self._ended.set()
        self._wanted.set()
        self._beside.end()
        self._ahead.end()
        if self._fitting.is_alive():
            self._fitting.join()

    def left(self) -> int:
        """How many of the requested pairs are left to ask."""
        return max(0, min(self._request.size - self._made, len(self._live)))

    def ask(self, telling: Telling) -> Question | None:
        """The pair that the design would ask now, or nearly; nobody else gets it."""
        while self.left():
            live = self._live.copy()
            selection = live.next(exact=False)
            pair = Comparisons(selection.first, selection.second)
            live.leave_out(pair)
            self._live = live
            if self._batch is None:
                self._batch = self._begin_batch(telling)
            question = self._question(pair, float(selection.gain[0]))
            if telling.ask(question):
                self._made += 1
                self._ahead.changed()
                return question
        return None

    def told(self, question: Question, answer: Answer) -> None:
        """Condition on it; a skip says nothing of rewards."""
        if answer.verdict == "skip":
            return
        prepared = self._ahead.after(self._live, (question.id, answer.annotator, answer.said))
        if prepared is None:
            self._ahead.changed()  # what it is at is out of date, and would take time from this
            prepared = self._live.copy()
            try:
                prepared.tell(as_preferences([question], [answer], self._points), exact=False)
            except InvalidInputError:
                self._wanted.set()  # a ranking, which the likelihood does not take: that of the next full fit does
        self._live = prepared
        self._digest = ""
        self._labels += 1
        self._since += 1
        self._ahead.changed()
        if self._since >= max(REFIT_AFTER, self._labels // 10):
            self._wanted.set()

    def changed(self) -> None:
        """Condition on all answers that count now."""
        if self._batch not in [entry["number"] for entry in self._desk.campaign.store.batches()]:
            self._batch = None  # what began it was not kept
        self._follow()

    def annotators(self) -> Sequence[AnnotatorRecord]:
        """What the last full fit says of them."""
        return self._annotators

    def _follow(self) -> None:
        """Let the posterior know the answers that count, and no others."""
        questions, answers = self._desk.standing()
        ends = np.array([pair for question in questions for pair in question.pairs], np.int64).reshape(-1, 2)
        pairs = Comparisons(ends[:, 0], ends[:, 1])
        live = self._live.copy()
        live.leave_out(self._spent.as_asked(pairs) if isinstance(self._spent, AskedInWords) else pairs)
        labels = as_preferences(questions, answers, self._points)
        digest = labels_digest(labels)
        if digest != self._digest:
            try:
                live.relabel(labels, exact=False)
                self._digest, self._labels = digest, len(labels)
            except (CapabilityError, InvalidInputError):
                self._wanted.set()
        self._live = live
        self._ahead.changed()

    def _look(self) -> tuple[Live, dict[Key, Preferences]]:
        """The answers to prepare for: pairs on screens, oldest first, and the likelier side of each first."""
        with self._desk.lock:
            live = self._live
            shown = [each for each in self._desk.screens() if not each[0].is_list] if self.left() else []
        if not shown:
            return live, {}
        first, second = (
            np.array([getattr(question, end) for question, _ in shown]) for end in ("first", "second")
        )
        likely = live.posterior.preference_probability(live.posterior.pool, first, second) >= 0.5
        return live, {
            (question.id, who, answer.said): as_preferences([question], [answer], self._points)
            for other in (False, True)
            for (question, who), better in zip(shown, likely ^ other, strict=True)
            for answer in self._sides(question, who, "first" if better else "second")
        }

    def _learn(self, live: Live) -> None:
        """Take over which pairs are good where an answer came while they were looked for."""
        with self._desk.lock:
            if self._live is not live and self._live.posterior.model is live.posterior.model:
                later = self._live.copy()
                later.learn(live)
                self._live = later

    def _sides(self, question: Question, who: str, verdict: str) -> list[Answer]:
        """The answers that prefer one side: that it is better, or by how many points of the scale."""
        answer = Answer(question.id, who, verdict)
        if self._points is None:
            return [answer]
        grades = [
            (by, outcome_of_points(verdict, by, self._points)) for by in range(1, points_of(self._points) + 1)
        ]
        return [replace(answer, margin=float(by), grade=grade) for by, grade in grades]

    def _refit(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._ended.is_set():
                return
            try:
                fitted = self._beside.fit(self._fits)
            except NoCandidatesError:
                return
            except InvalidInputError as error:
                logger.warning("the fit beside the page failed, and the one before it goes on: %s", error)
                continue
            if fitted is None:
                if not self._ended.is_set():
                    logger.warning("the process that fits beside the page ended, and the last fit goes on")
                return
            with self._desk.lock:
                self._live, self._digest, self._labels = fitted.live, fitted.digest, fitted.labels
                self._annotators, self._spent = fitted.annotators, fitted.spent
                self._fits, self._since = self._fits + 1, 0
                self._follow()

    def _begin_batch(self, telling: Telling) -> int:
        number = 1 + max((entry["number"] for entry in self._desk.campaign.store.batches()), default=0)
        settings = self._request.describe(self._plan, self._constraints) | {"live": True}
        telling.begin(number, self._plan.criterion.name, settings)
        return number

    def _question(self, pair: Comparisons, gain: float) -> Question:
        assert self._batch is not None
        place = self._made + 1
        generator = rng.stream(self._seed, "live question", self._batch, place)
        several = generator.random() < self._request.overlap_share
        return Question(
            id=f"q{self._tag}-{self._batch}-{place}",
            batch=self._batch,
            place=place,
            first=int(pair.first[0]),
            second=int(pair.second[0]),
            first_is_left=bool(generator.random() < 0.5),
            gain=gain,
            wanted=self._request.overlap if several else 1,
        )
