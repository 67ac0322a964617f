"""What is known of a batch before it is asked: which pairs are spent, what reading costs, how much there is to save."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesrm import rng
from bayesrm.campaign.asking import Answers, Request
from bayesrm.campaign.fitting import labels_digest, model_of
from bayesrm.campaign.records import Question
from bayesrm.campaign.store import Store
from bayesrm.design.answers import better_twice, first_and_second, information_by_annotator, knows_annotators
from bayesrm.design.candidates.alike import in_words
from bayesrm.design.candidates.costs import costs_of
from bayesrm.design.room import Room, room
from bayesrm.design.selection import Selection
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.runs.settings import CampaignSettings
from bayesrm.types import Comparisons, Preferences, ResponsePool
from bayesrm.utils.checked import checked
from bayesrm.utils.wording import counted, one_or_many


class CanLookAhead(ABC):
    """Says of a campaign what can be said before people are asked.

    Attributes
    ----------
    store : Store
    pool : ResponsePool
    targets : ResponsePool or None
    settings : dict
        Those of the store.
    configuration : CampaignSettings
        Those of the model and its fit.
    """

    store: Store
    pool: ResponsePool
    settings: dict[str, Any]
    configuration: CampaignSettings
    _fits: dict[str, tuple[str, RewardPosterior]] | None = None

    @property
    @abstractmethod
    def targets(self) -> ResponsePool | None:
        """The responses to the target prompts; None where all prompts are."""

    @abstractmethod
    def preferences(self) -> Preferences:
        """The answers that count."""

    @abstractmethod
    def fit(self, model: RewardModel, *, labels: Preferences) -> RewardPosterior:
        """The posterior given some labels."""

    @checked
    def room(self, list_size: int = 4) -> Room | None:
        """What can be saved before a label is paid for: by any choice of pairs, by lists, by what the model sees.

        Parameters
        ----------
        list_size : int, default 4
            Of how many responses the lists are that are held against pairs.

        Returns
        -------
        Room or None
            Its ``sentences()`` say it, with what it rests on; None where no pair is left to ask.

        See Also
        --------
        headroom : The least share of random's labels.
        """
        posterior = self._fitted(self.preferences(), rankings=True)
        seed = rng.child(int(self.settings["seed"]), "room")
        return room(posterior, self.pool, self.spent(), self.targets, seed, list_size)

    def teaching(self, request: Request, questions: Sequence[Question]) -> list[str]:
        """Whose answers to these questions teach how much, and whether some are better answered twice, in sentences."""
        request = request.under(self.store.names())
        said = []
        if request.second_answers:
            twice = sum(question.wanted > 1 for question in questions)
            said.append(
                f"{counted(twice, 'pair')} {one_or_many(twice, 'is', 'are')} asked of two annotators: there a second "
                "answer is expected to teach more than one to the least telling new pairs."
                if twice
                else "No pair is asked of two annotators: an answer to any new pair is expected to teach more than a "
                "second one."
            )
        names = list(request.annotators)
        if request.choose_annotators:
            said.append(_who_was_chosen(request, questions))
        if len(names) < 2 and not request.choose_annotators:
            return said
        posterior = self._fitted(self.preferences(), rankings=False)
        if request.list_size > 2 or not knows_annotators(posterior):
            return said
        pairs = Comparisons(*np.array([(question.first, question.second) for question in questions]).T)
        mean = information_by_annotator(posterior, self.pool, pairs, names).mean(axis=0)
        best = int(mean.argmax())
        others = [f"{name} {mean[at] / mean[best]:.0%}" for at, name in enumerate(names) if at != best]
        how_many = (
            "Quotas (--annotator NAME=QUOTA) and prices (--price NAME=X) bound who is asked how much."
            if request.choose_annotators
            else "Quotas (--annotator NAME=QUOTA) say who answers how many; who answers which is chosen by that."
        )
        if others:
            said.append(
                f"Of what an answer by {names[best]} is expected to teach here, one by the others teaches: "
                f"{', '.join(others)}. {how_many}"
            )
        unknown = [name for name in names if name not in posterior.context.annotators]
        if request.choose_annotators and unknown:
            have = one_or_many(len(unknown), "has", "have")
            said.append(
                f"{' and '.join(unknown)} {have} no answer yet: what a typical annotator teaches is expected of them."
            )
        return said

    @checked
    def costs(self, words: str) -> Float[np.ndarray, "response"]:
        """What each response costs to read: "length", its characters, or what an .npy file says.

        Raises
        ------
        InvalidInputError
            Where these are not a positive number for each response.
        """
        return costs_of(words, self.pool)

    def asked(self) -> Comparisons:
        """Every pair that was asked, also within a list, but for those that were released and never answered."""
        answered = {answer.question for answer in self.store.answers()}
        gone = self.store.released().keys() - answered
        questions = [question for question in self.store.questions() if question.id not in gone]
        pairs = np.array([pair for question in questions for pair in question.pairs], np.int64).reshape(-1, 2)
        return Comparisons(pairs[:, 0], pairs[:, 1])

    def spent(self, identical: bool = False) -> Comparisons:
        """What is not to be asked again: :meth:`asked`, and whatever reads like it, but for ``identical``."""
        return self.asked() if identical else in_words(self.pool, self.asked())

    def _answers_to(self, selection: Selection, request: Request, posterior: RewardPosterior) -> Answers:
        """Who teaches most by which pairs, and which are better answered twice."""
        if not isinstance(posterior, LastLayerPosterior):
            return Answers()
        answers = Answers()
        if request.annotators and knows_annotators(posterior):
            teaches = information_by_annotator(posterior, self.pool, selection, list(request.annotators))
            answers = replace(answers, teaches=teaches)
        if request.second_answers:
            left_out, twice = better_twice(*first_and_second(posterior, self.pool, selection))
            answers = replace(answers, left_out=left_out, twice=twice)
        return answers

    def _fitted(self, labels: Preferences, rankings: bool) -> RewardPosterior:
        """The posterior of these labels, of a fit that was made to the same: it takes seconds.

        The last one of each likelihood is remembered.
        """
        model = model_of(self.configuration, self.pool, labels, rankings)
        digest = labels_digest(labels)
        self._fits = {} if self._fits is None else self._fits
        before = self._fits.get(model.likelihood.name)
        if before is None or before[0] != digest:
            self._fits[model.likelihood.name] = before = digest, self.fit(model, labels=labels)
        return before[1]


def _who_was_chosen(request: Request, questions: Sequence[Question]) -> str:
    """How many answers each of the annotators is asked for, and how many pairs have more than one."""
    asked = Counter(name for question in questions for name in question.annotators)
    several = sum(question.wanted > 1 for question in questions)
    are = one_or_many(several, "is", "are")
    second = (
        f"{counted(several, 'pair')} {are} asked of more than one, where that is expected to teach more than any new "
        "pair that is left"
        if several
        else "no pair is asked of two, for a new one is expected to teach more"
    )
    return (
        f"Chosen by what an answer of each is expected to teach{' for its price' if request.prices else ''}: "
        f"{', '.join(f'{name} {asked[name]}' for name in request.annotators)}; {second}."
    )
