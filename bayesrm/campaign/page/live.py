"""Live mode: after each answer an exact update and the best pair of all, while full refits run beside it.

An answer conditions the last layer by Newton's method (:class:`bayesrm.design.live.Live`); features and prior scales
stay as the last full fit left them. A thread fits anew when enough answers came, and what it has found takes the place
of the old posterior at once, with the answers that came meanwhile. Nobody waits for it.
"""

from __future__ import annotations

import logging
import threading

import numpy as np

from bayesrm import rng
from bayesrm.campaign.answers import OUTCOMES, as_preferences
from bayesrm.campaign.asking import Request
from bayesrm.campaign.campaign import Campaign
from bayesrm.campaign.fitting import labels_digest
from bayesrm.campaign.page.desk import Chooser, Desk
from bayesrm.campaign.records import Answer, Question
from bayesrm.campaign.store import Store
from bayesrm.campaign.writing import Telling
from bayesrm.design.live import Live
from bayesrm.errors import CapabilityError, InvalidInputError, NoCandidatesError
from bayesrm.runs.batches import candidates_of, constraints_of
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
        Where the request has caps, or no pair is left.
    """

    def __init__(self, campaign: Campaign, request: Request) -> None:
        # A store and connections of its own, for the thread that fits.
        self._campaign = Campaign(
            campaign.directory, Store(campaign.directory), campaign.pool_path, campaign.pool, campaign.device
        )
        self._request, self._plan = request, request.with_targets(campaign.targets)
        self._seed, self._tag = int(campaign.settings["seed"]), campaign.settings["tag"]
        self._constraints = constraints_of(request, campaign.pool)
        self._fits = 0
        self._live, self._digest, self._labels = self._fit()
        self._batch: int | None = None
        self._made = self._since = 0
        self._wanted = threading.Event()
        self._ended = threading.Event()

    def begin(self, desk: Desk) -> None:
        """Follow what the desk knows, and begin to fit beside it."""
        self._desk = desk
        self._follow()
        threading.Thread(target=self._refit, name="refit", daemon=True).start()

    def end(self) -> None:
        """Fit no more; what is being fitted comes too late."""
        with self._desk.lock:
            self._ended.set()
        self._wanted.set()

    def left(self) -> int:
        """Of as many as were requested."""
        return max(0, min(self._request.size - self._made, len(self._live)))

    def ask(self, telling: Telling) -> Question | None:
        """The pair that the design would ask now; nobody else gets it."""
        while self.left():
            selection = self._live.next()
            pair = Comparisons(selection.first, selection.second)
            self._live.leave_out(pair)
            if self._batch is None:
                self._batch = self._begin_batch(telling)
            question = self._question(pair, float(selection.gain[0]))
            if telling.ask(question):
                self._made += 1
                return question
        return None

    def told(self, question: Question, answer: Answer) -> None:
        """Condition on it; a skip says nothing of rewards."""
        if answer.verdict == "skip":
            return
        label = Preferences(
            np.array([question.first]),
            np.array([question.second]),
            np.array([OUTCOMES[answer.verdict]]),
            annotator=np.array([answer.annotator]) if answer.annotator else None,
        )
        self._live.tell(label)
        self._digest = ""
        self._labels += 1
        self._since += 1
        if self._since >= max(REFIT_AFTER, self._labels // 10):
            self._wanted.set()

    def changed(self) -> None:
        """Condition on all answers that count now."""
        if self._batch not in [entry["number"] for entry in self._desk.campaign.store.batches()]:
            self._batch = None  # what began it was not kept
        self._follow()

    def _follow(self) -> None:
        """Let the posterior know the answers that count, and no others."""
        questions, answers = self._desk.standing()
        pairs = np.array([pair for question in questions for pair in question.pairs], np.int64).reshape(-1, 2)
        self._live.leave_out(Comparisons(pairs[:, 0], pairs[:, 1]))
        labels = as_preferences(questions, answers)
        digest = labels_digest(labels)
        if digest == self._digest:
            return
        try:
            self._live.relabel(labels)
            self._digest, self._labels = digest, len(labels)
        except CapabilityError:
            self._wanted.set()

    def _fit(self) -> tuple[Live, str, int]:
        """A full fit to all answers of the store, and candidates drawn anew."""
        labels, asked = self._campaign.preferences(), self._campaign.asked()
        posterior = self._campaign.fit(labels=labels)
        seed = rng.child(self._seed, "live candidates", self._fits)
        pairs = candidates_of(self._request, self._campaign.pool, self._constraints, seed, asked)
        live = Live(posterior, pairs, self._plan, seed=rng.child(self._seed, "live", self._fits))
        self._fits += 1
        return live, labels_digest(labels), len(labels)

    def _refit(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._ended.is_set():
                return
            try:
                fitted = self._fit()
            except NoCandidatesError:
                return
            except InvalidInputError as error:
                logger.warning("the fit beside the page failed, and the one before it goes on: %s", error)
                continue
            with self._desk.lock:
                if self._ended.is_set():
                    return
                self._live, self._digest, self._labels = fitted
                self._since = 0
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
