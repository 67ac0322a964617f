"""The loop of active reward modeling (the paper's Algorithm 1 and section 5.1).

Each round draws prompts, forms candidates, selects a batch under the posterior of the labels so far, asks the
annotator, refits and evaluates. Every random choice has an address under the run's seed, and every fit depends
on the labels alone, so a run that was killed continues where it stood and ends with the very same file.
"""

from __future__ import annotations

import os
import warnings
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import SupportsIndex, cast

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from numpy.typing import ArrayLike

from bayesrm import rng
from bayesrm.annotators.base import Annotator, SupportsLabel
from bayesrm.data.fingerprint import Fingerprint, content_digest
from bayesrm.data.golden import as_golden
from bayesrm.design.base import Criterion, Design, Selector
from bayesrm.design.candidates.constraints import Constraints, Cost
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.lists.select import select_lists
from bayesrm.design.lists.selection import ListSelection
from bayesrm.design.selection import Selection
from bayesrm.errors import InvalidInputError, NoCandidatesError
from bayesrm.inference import INFERENCES, RECOMMENDED_INFERENCE, as_device, fit
from bayesrm.inference.base import Inference
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.runs.batches import candidates_of, constraints_of, design_of
from bayesrm.runs.checksums import CHECKSUMS_FILE, keep_checksums
from bayesrm.runs.described import describe_annotator, describe_cost, digest
from bayesrm.runs.journal import Journal, Metrics, RoundRecord
from bayesrm.runs.measuring import headroom_left, measure, needs_no_label
from bayesrm.runs.results import RESULTS_FILE, keep_results, open_results, run_tree
from bayesrm.runs.settings import LoopSettings
from bayesrm.types import Pairs, Preferences, ResponsePool
from bayesrm.utils.checked import checked
from bayesrm.utils.progress import bar
from bayesrm.utils.remembered import remembered
from bayesrm.utils.timing import stage
from bayesrm.utils.wording import counted

__all__ = ["RoundRecord", "run"]


@checked
def run(
    pool: ResponsePool,
    annotator: SupportsLabel,
    test: tuple[ResponsePool, ArrayLike] | None = None,
    model: RewardModel | None = None,
    inference: str | Inference | None = None,
    design: str | Criterion | Design | None = None,
    selector: str | Selector | None = None,
    targets: str | os.PathLike[str] | Pairs | ResponsePool | None = None,
    scope: str = "within-prompt",
    prompts: int | None = 500,
    candidates: int | None = 20_000,
    identical: bool = False,
    per_prompt: int | None = None,
    per_response: int | None = None,
    min_within: int = 0,
    cost: str | os.PathLike[str] | Cost | None = None,
    batch_size: SupportsIndex = 125,
    list_size: SupportsIndex = 2,
    rounds: SupportsIndex = 10,
    seed: SupportsIndex = 0,
    out: str | os.PathLike[str] | None = None,
    draws: SupportsIndex = 1024,
    log_likelihood: bool = False,
    by_prompt: bool = False,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Run active reward modeling from the first label on.

    Parameters
    ----------
    pool : ResponsePool
        The responses to choose comparisons from.
    annotator : Annotator
        Who answers: anything with ``label(batch) → Preferences``.
    test : tuple of (ResponsePool, array_like), optional
        Test pool and its (response,) golden rewards, for the metrics after each round.
    model : RewardModel, optional
    inference : str or Inference, optional
    design : str or Criterion or Design, optional
    selector : str or Selector, optional
    targets : Pairs or ResponsePool or path, optional
        See ``RewardModel``, ``fit`` and ``select``; None means what the studies recommend. Targets may also be the path
        of a pool.
    scope : str, default "within-prompt"
    prompts : int, default 500
    candidates : int, default 20_000
    identical : bool, default False
        See ``candidates``: scope, prompts drawn a round (None: all), pairs drawn from them (None: all), and
        whether pairs of identical embeddings are asked about.
    per_prompt : int, optional
    per_response : int, optional
    min_within : int, default 0
        What each round's batch has to respect, see ``candidates``: a maximum of pairs that touch a prompt, or that
        a response is in, and at least this many pairs within a prompt.
    cost : array_like or callable or str or path, optional
        What asking costs, by response or by pair, see ``candidates``: designs then rank by gain per unit of cost. Also
        "length", the characters of the texts, or the path of an .npy file with a cost for each response.
    batch_size : int, default 125
    rounds : int, default 10
        Labels a round, of which a ranking is one, and number of rounds. Where fewer pairs are left to ask than that, a
        later round takes those; where none is left the run ends early, with a warning.
    list_size : int, default 2
        How many responses to one prompt are ranked at once, see ``select``; the annotator's ``label`` then gets a
        :class:`~bayesrm.design.lists.selection.ListSelection`. The coordinate ``texts`` of the trajectory counts what
        was read.
    seed : int, default 0
        Root of every random choice of the run.
    out : str or path, optional
        A folder for the run. After each round what was paid for is there; called again with the same settings,
        an unfinished run continues and a finished one is opened. More rounds continue a finished run.
    draws : int, default 1024
    log_likelihood : bool, default False
        Posterior draws in the result, and whether to add their log-likelihood (for ``az.loo``).
    by_prompt : bool, default False
        Whether to keep 1 − Spearman of each test prompt, as ``one_minus_spearman_by_prompt``: for intervals that
        allow for other prompts too, see :mod:`bayesrm.evaluation.comparison`.
    device : str or torch.device, optional
        Where to compute; default the CPU.
    progress : bool, default True
        Whether to show a progress bar on a terminal.

    Returns
    -------
    DataTree
        ArviZ groups of the final posterior, with ``trajectory`` (dimension ``round``, coordinate ``labels``, one
        variable a metric) and ``selection`` (what was asked, when, with its gain).

    Raises
    ------
    InvalidInputError
        For settings that cannot work, and where ``out`` holds a run of another configuration.

    See Also
    --------
    select : One round's choice.
    open_results : Opens what a run left on disk.
    Campaign : The same with people.

    Examples
    --------
    >>> tree = brm.run(
    ...     pool, annotator, (test, test_golden), brm.RewardModel(pool.dim, "linear"), design="pa-dopt",
    ...     batch_size=20, rounds=2, draws=8,
    ... )
    >>> tree["trajectory"]["labels"].values.tolist()
    [20, 40]
    """
    settings = LoopSettings.picked(locals())
    model = RewardModel(pool, encoder="auto") if model is None else model
    return run_loop(settings, pool, annotator, test, model, None if out is None else Path(out), progress)


def run_loop(
    settings: LoopSettings,
    pool: ResponsePool,
    annotator: SupportsLabel,
    test: tuple[ResponsePool, ArrayLike] | None,
    model: RewardModel,
    directory: Path | None = None,
    progress: bool = False,
) -> xr.DataTree:
    """:func:`run` with its settings in one object; a :class:`~bayesrm.runs.config.RunConfig` is one too."""
    plan = design_of(settings)
    name = RECOMMENDED_INFERENCE if settings.inference is None else settings.inference
    method = INFERENCES[name]() if isinstance(name, str) else name
    rounds, seed = settings.rounds, settings.seed
    # What a fit or a selection would refuse is refused here, before anybody is asked.
    as_device(settings.device)
    constraints = constraints_of(settings, pool)
    constraints.require_possible(settings.batch_size)
    if settings.list_size > 2 and not model.likelihood.takes_rankings:
        raise InvalidInputError(
            f"lists are answered by rankings, which the likelihood {model.likelihood.name!r} does not know: use "
            "likelihood='bradley-terry' or 'plackett-luce', or list_size=2"
        )
    model.require_pool(pool)
    if test is not None and test[0].dim != pool.dim:
        raise InvalidInputError(
            f"expected a test pool of embedding dimension {pool.dim}, as the pool has, got {test[0].dim}: "
            "were both embedded with the same model?"
        )
    if test is not None:
        test = test[0], _rankable(test[0], test[1])
    configuration = settings.record(LoopSettings) | {
        "pool": Fingerprint.of(pool).as_json(),
        "test": None
        if test is None
        else Fingerprint.of(test[0]).as_json() | {"golden": digest(np.asarray(test[1]))},
        "annotator": describe_annotator(annotator),
        "model": model.describe(),
        "inference": method.name,
        # None where all are the usual ones, as in folders of a time when they were not recorded; likewise below.
        "inference_settings": method.describe() or None,
        "design": plan.criterion.name,
        "design_settings": plan.criterion.describe() or None,
        "selector": plan.selector.name,
        "selector_settings": plan.selector.describe() or None,
        # None without any, as in folders of a time when there were none.
        "constraints": str(constraints) or None,
        "cost": describe_cost(constraints),
    }
    journal = Journal(directory, configuration, {} if directory is None else _contents(pool, test))
    finished = None if directory is None else _finished(directory, rounds)
    if directory is not None and finished is not None:
        if not (directory / CHECKSUMS_FILE).exists():
            keep_checksums(directory, [directory / RESULTS_FILE, *journal.files()])
        return finished

    def posterior_after(labels: Preferences) -> RewardPosterior:
        with stage("fit"):
            return fit(model, pool, labels, method, seed=rng.child(seed, "fit"), device=settings.device)

    labels = Preferences.none()
    posterior: RewardPosterior | None = None
    alone: Metrics | None = None
    records = []
    for t in bar(range(rounds), f"{plan.criterion.name}, seed {seed}", rounds, show=progress):
        answered = journal.labels(t)
        if answered is None:
            selection = journal.selection(t)
            if selection is None:
                if posterior is None:
                    posterior = posterior_after(labels)
                with stage("candidates"):
                    pairs = _candidates_left(settings, pool, constraints, rng.child(seed, "candidates", t), labels)
                if pairs is None:
                    break
                # The first round's batch is as large as was asked for, or refused.
                size = settings.batch_size
                if len(labels) and settings.list_size == 2:
                    size = min(size, len(pairs))
                with stage("select"):
                    selection = _select(plan, posterior, pairs, size, settings, rng.child(seed, "selection", t))
                    _ = selection.bound  # which takes time, and is kept
                with stage("keep"):
                    journal.keep_selection(t, selection)
            asked = annotator.at_round(t) if isinstance(annotator, Annotator) else annotator
            with stage("label"):
                answered = _require_answers(asked.label(cast("Pairs", selection)), selection)
            with stage("keep"):
                journal.keep_labels(t, answered)
        labels = labels.append(answered)
        posterior = None
        if journal.metrics(t) is None:
            posterior = posterior_after(labels)
            with stage("evaluate"):
                temperature = getattr(annotator, "temperature", 1.0)
                measured = measure(posterior, test, temperature, settings.by_prompt)
                if test is not None:
                    alone = needs_no_label(test, temperature) if alone is None else alone
                    measured |= alone
            with stage("keep"):
                journal.keep_metrics(t, measured)
        records.append(journal.record(t))
    if posterior is None:
        posterior = posterior_after(labels)
    if len(records) < rounds:
        warnings.warn(
            f"no pair was left to ask after {len(records)} of {rounds} rounds and {counted(len(labels), 'label')}: the "
            "run ends there; give a larger pool, or for more pairs scope='cross-prompt', on the command line --scope "
            "cross-prompt",
            stacklevel=2,
        )
    with stage("evaluate"):
        left = headroom_left(posterior, pool, settings.scope, labels, rng.child(seed, "headroom"))
    with stage("draws"):
        draws_tree = posterior.to_datatree(settings.draws, rng.child(seed, "draws"), settings.log_likelihood)
    with stage("keep"):
        tree = run_tree(records, draws_tree, configuration, left)
        if directory is not None and journal.metrics(rounds) is None:  # a longer run's results are not cut short
            keep_results(tree, directory, journal.files())
    return tree


def _select(
    plan: Design, posterior: RewardPosterior, pairs: CandidateSet, size: int, settings: LoopSettings, seed: int
) -> Selection | ListSelection:
    if settings.list_size == 2:
        return plan.select(posterior, pairs, size, seed)
    return select_lists(plan, posterior, pairs, size, settings.list_size, seed)


def _candidates_left(
    settings: LoopSettings, pool: ResponsePool, constraints: Constraints, seed: int, labels: Preferences
) -> CandidateSet | None:
    """The round's candidates; of all prompts where those drawn have too few left; None where none is left at all."""
    if len(labels) == 0:
        return candidates_of(settings, pool, constraints, seed)
    found = None
    for drawn in dict.fromkeys((settings.prompts, None)):
        wider = settings.model_copy(update={"prompts": drawn})
        try:
            found = candidates_of(wider, pool, constraints, seed, labels)
        except NoCandidatesError:
            continue
        if len(found) >= settings.batch_size:
            break
    return found


def _contents(
    pool: ResponsePool, test: tuple[ResponsePool, Float[np.ndarray, "response"]] | None
) -> dict[str, str]:
    """All of the pools, in a digest each."""
    pools = {"pool": pool} | ({} if test is None else {"test": test[0]})
    return {name: remembered(each, "contents", partial(content_digest, each)) for name, each in pools.items()}


def _finished(directory: Path, rounds: int) -> xr.DataTree | None:
    """The results in a folder, if they are there, whole, and of this many rounds; else they are made again."""
    try:
        results = open_results(directory)
    except InvalidInputError:
        return None
    if results["trajectory"].sizes["round"] == rounds:
        return results
    results.close()
    return None


def _rankable(pool: ResponsePool, golden: ArrayLike) -> Float[np.ndarray, "response"]:
    """Golden rewards of a test pool, checked before anything is paid for."""
    values = as_golden(golden, len(pool))
    if not any(np.ptp(values[member]) > 0 for member in pool.members):
        raise InvalidInputError(
            "expected a test pool with at least one prompt whose responses have different golden rewards, "
            "got none: there is nothing to rank"
        )
    return values


def _require_answers(answered: object, selection: Selection | ListSelection) -> Preferences:
    """Answers to pairs that were asked; an annotator may leave some out."""
    if not isinstance(answered, Preferences):
        raise InvalidInputError(f"expected the annotator to return Preferences, got {type(answered).__name__}")
    if isinstance(selection, ListSelection):
        asked = {pair for members in selection.lists.tolist() for pair in permutations(members, 2)}
    else:
        asked = set(zip(selection.first.tolist(), selection.second.tolist(), strict=True))
    strange = set(zip(answered.first.tolist(), answered.second.tolist(), strict=True)) - asked
    if strange:
        raise InvalidInputError(
            f"expected answers to the {len(asked)} pairs that were asked, got one to the pair {min(strange)}: "
            "return first and second as they were asked"
        )
    return answered
