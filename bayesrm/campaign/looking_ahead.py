"""What is known of a batch before it is asked: which pairs are spent, what reading costs, how much there is to save."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesrm import rng
from bayesrm.campaign.fitting import labels_digest, model_of
from bayesrm.campaign.store import Store
from bayesrm.design.candidates.costs import costs_of
from bayesrm.design.room import Room, room
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.runs.settings import CampaignSettings
from bayesrm.types import Comparisons, Preferences, ResponsePool
from bayesrm.utils.checked import checked


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
    _last_fit: tuple[tuple[str, str], RewardPosterior] | None = None

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
        return room(posterior, self.pool, self.asked(), self.targets, seed, list_size)

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

    def _fitted(self, labels: Preferences, rankings: bool) -> RewardPosterior:
        """The posterior of these labels, of the last fit where that was to the same: a fit takes seconds."""
        model = model_of(self.configuration, self.pool, labels, rankings)
        key = (model.likelihood.name, labels_digest(labels))
        if self._last_fit is None or self._last_fit[0] != key:
            self._last_fit = key, self.fit(model, labels=labels)
        return self._last_fit[1]
