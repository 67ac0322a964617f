"""A campaign opened again: its posterior held against its own answers, and the reasons for what it asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from bayesrm import rng
from bayesrm.campaign import Campaign
from bayesrm.campaign.answers import as_preferences, order_of_telling, used_answers
from bayesrm.campaign.store import STORE_FILE
from bayesrm.data import load_golden, load_pool
from bayesrm.design.explanation import Explanation
from bayesrm.design.lists.explanation import ListExplanation
from bayesrm.design.lists.selection import ListSelection
from bayesrm.design.selection import Selection
from bayesrm.diagnostics import Diagnosis, diagnose
from bayesrm.diagnostics.history import own_history
from bayesrm.diagnostics.sbc import frozen
from bayesrm.errors import InvalidInputError
from bayesrm.inference import fit
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.utils.wording import counted


def is_campaign(directory: Path) -> bool:
    """Whether a folder is that of a campaign."""
    return (directory / STORE_FILE).is_file()


def open_campaign(directory: Path, pool: Path | None = None) -> tuple[Campaign, RewardPosterior]:
    """A campaign and its posterior given all answers.

    Raises
    ------
    InvalidInputError
        Where there is no answer yet.
    """
    campaign = Campaign.open(directory, pool)
    labels = campaign.preferences()
    if not len(labels):
        raise InvalidInputError(
            f"the campaign {directory} has no answers yet, so there is nothing to look at: tell it some with bayesrm "
            "campaign tell"
        )
    return campaign, campaign.fit(labels=labels)


def history_of(campaign: Campaign, posterior: RewardPosterior) -> xr.Dataset | None:
    """The learning curve over the campaign's own answers, in the order in which they were told."""
    questions, answers = campaign.store.questions(), campaign.store.answers()
    return own_history(
        posterior,
        order_of_telling(questions, answers),
        lambda labels: campaign.fit(model=campaign.model(posterior.preferences), labels=labels),
        seed=rng.child(int(campaign.settings["seed"]), "history"),
    )


@dataclass(frozen=True)
class Against:
    """What a campaign's posterior is held against beside its own answers.

    Parameters
    ----------
    test
        A test pool with golden rewards.
    reference
        An inference, on the same answers and features.
    sbc
        Simulated data sets for simulation-based calibration.
    seed, workers
        As for ``diagnose``.
    """

    test: Path | None = None
    reference: str | None = None
    sbc: int = 0
    seed: int = 0
    workers: int = 1


def diagnose_campaign(
    campaign: Campaign, posterior: RewardPosterior, against: Against, history: xr.Dataset | None = None
) -> Diagnosis:
    """All checks of a campaign's posterior, those of its annotators and its learning curve among them.

    Parameters
    ----------
    campaign, posterior
        From :func:`open_campaign`.
    against
        What else it is held against.
    history
        From :func:`history_of`, if it is there already.
    """
    test, seed = against.test, against.seed
    reference = None
    if against.reference is not None:
        model = frozen(posterior.model, posterior.pool, posterior.preferences)
        child = rng.child(seed, "reference")
        reference = fit(model, posterior.pool, posterior.preferences, against.reference, child)
    return diagnose(
        posterior,
        test=None if test is None else (load_pool(test), load_golden(test)),
        reference=reference,
        inference=posterior.inference,
        sbc=against.sbc,
        history=history_of(campaign, posterior) if history is None else history,
        draws=campaign.configuration.draws,
        seed=seed,
        workers=against.workers,
    )


def explain_batch(campaign: Campaign, batch: int | None = None) -> tuple[int, Explanation | ListExplanation]:
    """Why the pairs or lists of a batch, under the answers that had been told when it was asked.

    Answers that were taken back since are as if they had never been told.

    Parameters
    ----------
    campaign
        Any.
    batch
        Its number; default the last.

    Raises
    ------
    InvalidInputError
        Where there is no such batch.
    """
    batches = {entry["number"]: entry for entry in campaign.store.batches()}
    number = max(batches, default=0) if batch is None else batch
    if number not in batches:
        there = f"there are batches 1 to {max(batches)}" if batches else "nothing was asked yet"
        raise InvalidInputError(f"there is no batch {number} in {campaign.directory}: {there}")
    questions = campaign.store.questions()
    known = [answer for answer in campaign.store.answers() if answer.told < batches[number]["asked"]]
    posterior = campaign.fit(labels=as_preferences(questions, known, campaign.configuration.points))
    own = sorted((question for question in questions if question.batch == number), key=lambda one: -one.gain)
    gain = np.array([question.gain for question in own])
    design = f"{batches[number]['design']} after {counted(len(used_answers(questions, known)), 'answer')}"
    if any(question.is_list for question in own):
        chosen = ListSelection(np.array([question.members for question in own]), gain, design)
        return number, chosen.explain(posterior, campaign.pool)
    first, second = (np.array([getattr(question, end) for question in own]) for end in ("first", "second"))
    return number, Selection(first, second, gain=gain, design=design).explain(posterior, campaign.pool)
