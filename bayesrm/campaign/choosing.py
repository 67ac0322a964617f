"""Whom to ask about each pair: chosen together with it, by how reliable annotators were so far."""

from __future__ import annotations

from collections import Counter

import numpy as np

from bayesrm.campaign.answers import NAMED_ANSWERS, choose_likelihood
from bayesrm.campaign.asking import Request
from bayesrm.design.answers import knows_annotators
from bayesrm.design.base import Design
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.selection import Selection
from bayesrm.design.whom import select_answers
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.runs.settings import CampaignSettings
from bayesrm.types import Preferences
from bayesrm.utils.wording import counted

NAMED = 5
"""Annotators who are named one by one in a message."""
INSTEAD = "leave out --choose-annotators, and questions are dealt out by quotas (--annotator NAME=QUOTA)"


def choose_answers(
    plan: Design, posterior: RewardPosterior, candidates: CandidateSet, request: Request, seed: int
) -> tuple[Selection, list[tuple[str, ...]]]:
    """The answers that :func:`bayesrm.select` chooses with ``annotators`` and ``prices``, pair by pair.

    Parameters
    ----------
    plan
        The design.
    posterior
        What is known of rewards and people.
    candidates
        Pairs that nobody was asked before.
    request
        Who can be asked, and how many answers are wanted; fewer are chosen where no more pairs are left.
    seed
        Breaks ties.

    Returns
    -------
    Selection, list
        Each pair once, in the order of its first choice, with the summed gain of its answers; and who answers it.

    Raises
    ------
    CapabilityError
        Where the posterior does not know how reliable people are, or the design cannot weigh answers.
    """
    if not knows_annotators(posterior):
        raise CapabilityError(
            f"the inference {posterior.inference} of this campaign has no reliability of each annotator: {INSTEAD}"
        )
    most = len(candidates)
    possible = sum(most if quota is None else min(quota, most) for quota in request.annotators.values())
    answers = select_answers(
        plan, posterior, candidates, min(request.size, possible), request.annotators, request.prices, seed
    )
    return _by_pair(answers)


def _by_pair(answers: Selection) -> tuple[Selection, list[tuple[str, ...]]]:
    assert answers.annotator is not None
    people: dict[tuple[int, int], list[str]] = {}
    gains: dict[tuple[int, int], float] = {}
    for (first, second), name, gain in zip(
        answers.lists.tolist(), answers.annotator.tolist(), answers.gain.tolist(), strict=True
    ):
        people.setdefault((first, second), []).append(name)
        gains[first, second] = gains.get((first, second), 0.0) + gain
    first, second = np.array(list(people), np.int64).T
    pairs = Selection(
        first,
        second,
        gain=np.array(list(gains.values())),
        design=answers.design,
        posterior=answers.posterior,
        pool=answers.pool,
    )
    return pairs, [tuple(sorted(names)) for names in people.values()]


def require_reliabilities(configuration: CampaignSettings, labels: Preferences) -> None:
    """CapabilityError or InvalidInputError where a fit of a campaign to these labels knows no annotator's reliability.

    Raises
    ------
    CapabilityError
        Where the campaign's likelihood has none.
    InvalidInputError
        Where too few answers say who gave them.
    """
    if configuration.points is not None:
        raise CapabilityError(
            f"this campaign asks on {configuration.points} points, and grades are fitted without a reliability of "
            f"each annotator: {INSTEAD}"
        )
    if configuration.likelihood not in ("auto", "annotators"):
        raise CapabilityError(
            f"the likelihood of this campaign is {configuration.likelihood}, which has no reliability of each "
            f"annotator: {INSTEAD}, or begin a campaign without --likelihood"
        )
    if labels.choice is not None:
        raise CapabilityError(
            "some answers of this campaign are rankings of lists, which are fitted without a reliability of each "
            f"annotator: {INSTEAD}"
        )
    named = Counter(() if labels.annotator is None else labels.annotator.tolist())
    unnamed = len(labels) - sum(named.values()) + named.pop("", 0)
    if named and "annotators" in (configuration.likelihood, choose_likelihood(labels).name):
        return
    people = [f"{name} ({count})" for name, count in named.most_common(NAMED)]
    if len(named) > NAMED:
        people.append(f"{len(named) - NAMED} others with fewer")
    if unnamed or not named:
        people.append(f"{counted(unnamed, 'answer')} without a name" if unnamed else "no answers")
    rename = ", say whose answers have no name with bayesrm campaign rename --unnamed NAME" if unnamed else ""
    raise InvalidInputError(
        f"expected two annotators with {NAMED_ANSWERS} answers each, of which follows how reliable they are, got "
        f"{', '.join(people)}: ask without --choose-annotators until they have them{rename}"
    )
