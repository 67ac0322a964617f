"""A labelling campaign in one directory: ask, tell, fit, look, and again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bayesrm import rng
from bayesrm.campaign import unasked
from bayesrm.campaign.answers import as_preferences
from bayesrm.campaign.asking import Answers, Request, nothing_left, questions_of
from bayesrm.campaign.beginning import begin
from bayesrm.campaign.choosing import choose_answers, require_reliabilities
from bayesrm.campaign.datasets import labels_by_texts
from bayesrm.campaign.fitting import model_of
from bayesrm.campaign.handing_out import CanHandOut
from bayesrm.campaign.handoff.base import Sheet
from bayesrm.campaign.labels.base import COLUMNS, as_record
from bayesrm.campaign.labels.export import export_labels
from bayesrm.campaign.labels.rows import label_rows
from bayesrm.campaign.looking_ahead import CanLookAhead
from bayesrm.campaign.records import Question
from bayesrm.campaign.releasing import CanRelease
from bayesrm.campaign.renaming import CanRename
from bayesrm.campaign.source import find_pool, only_prompts
from bayesrm.campaign.store import Store
from bayesrm.campaign.tell import TellReport
from bayesrm.campaign.tell import tell as tell_file
from bayesrm.campaign.untelling import CanUntell
from bayesrm.design.lists.select import select_lists
from bayesrm.design.lists.selection import ListSelection
from bayesrm.design.selection import Selection
from bayesrm.errors import NoCandidatesError
from bayesrm.inference import as_device
from bayesrm.inference import fit as fit_model
from bayesrm.inference.base import Inference
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.runs.batches import candidates_of, constraints_of
from bayesrm.runs.settings import CampaignSettings
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.checked import Seed, Unicode, checked


class Campaign(CanHandOut, CanLookAhead, CanUntell, CanRename, CanRelease):
    """A labelling campaign: what was asked of people and what they said, on disk, and what follows from it.

    Use :meth:`create` and :meth:`open`.

    Parameters
    ----------
    directory : path
        Where it lies.
    store : Store
        Its label store.
    pool_path : path
    pool : ResponsePool
        Its pool.
    device : str, optional
        Where to compute; default the CPU.

    See Also
    --------
    load_pool : What a campaign asks about.
    forecast : What more labels are expected to bring.

    Examples
    --------
    >>> campaign = brm.Campaign.create("labels", pool="data/quickstart/pool")
    >>> questions = campaign.ask(3)
    >>> [path.name for path in campaign.hand_out("csv")]
    ['batch-001.csv']
    >>> len(campaign.preferences())  # nobody answered yet
    0
    """

    @checked
    def __init__(
        self, directory: Path, store: Store, pool_path: Path, pool: ResponsePool, device: str | None = None
    ) -> None:
        self.directory, self.store, self.pool_path, self.pool = directory, store, pool_path, pool
        as_device(device)
        self.device = device
        self.settings = store.settings()
        # Campaigns that are older than these settings have none.
        self.configuration = CampaignSettings(**self.settings.get("configuration", {}))

    @classmethod
    @checked
    def create(
        cls,
        directory: str | os.PathLike[str],
        pool: str | os.PathLike[str],
        target_prompts: str | os.PathLike[str] | None = None,
        seed: Seed = 0,
        labels: bool = True,
        **settings: Any,
    ) -> Campaign:
        """Begin a campaign.

        Parameters
        ----------
        directory : str or path
            A folder that is new or empty.
        pool : str or path
            The pool that questions are about, see ``load_pool``; it stays where it is.
        target_prompts : str or path, optional
            A file with the ``prompt_id`` of the prompts that the reward model is for, one a line; default all. Quality
            is about these, and designs that can aim (epig, vopt, regret, rank) aim at them.
        seed : int, default 0
            Root of every random choice of the campaign.
        labels : bool, default True
            Whether labels that ``bayesrm embed`` found beside the texts of the pool count from the start; their pairs
            are not asked again.
        **settings
            Of the model and its fit, such as ``encoder``, ``prior_scale``, ``likelihood`` and ``inference``: fields of
            :class:`~bayesrm.runs.settings.CampaignSettings`, which the campaign keeps.

        Raises
        ------
        InvalidInputError
            Where the folder is not empty, or the pool or the file cannot be used.
        """
        directory, pool_path = Path(directory), Path(pool)
        configuration = CampaignSettings(**settings)
        targets = None if target_prompts is None else Path(target_prompts)
        store, opened = begin(directory, pool_path, targets, seed, labels, configuration)
        return cls(directory, store, pool_path, opened)

    @classmethod
    @checked
    def open(
        cls,
        directory: str | os.PathLike[str],
        pool: str | os.PathLike[str] | None = None,
        device: str | None = None,
        verify: bool = False,
    ) -> Campaign:
        """Go on with a campaign.

        Parameters
        ----------
        directory : str or path
            Its folder.
        pool : str or path, optional
            Where its pool is, if it was moved.
        device : str, optional
            Where to compute; default the CPU.
        verify : bool, default False
            Whether to read all of the pool and compare it with what it was when the campaign began. Otherwise it is
            read where the size or time of one of its files has changed.

        Raises
        ------
        InvalidInputError
            Where there is none, it is of another format, or its pool is gone or another one.
        """
        directory = Path(directory)
        store = Store(directory)
        path, opened = find_pool(store, directory, None if pool is None else Path(pool), verify)
        return cls(directory, store, path, opened, device)

    def __repr__(self) -> str:
        return f"Campaign({str(self.directory)!r}, {len(self.store.questions())} questions about {self.pool})"

    @cached_property
    def targets(self) -> ResponsePool | None:
        """The responses to the target prompts; None where all prompts are."""
        labels = self.settings["targets"]
        return None if labels is None else only_prompts(self.pool, labels)

    @checked
    def ask(self, request: Request | int = 200, list_size: int | None = None) -> list[Question]:
        """Choose a batch and keep it; see :meth:`hand_out` for the files.

        Of responses to a prompt that read the same one stands for all, unless the request has ``identical``.

        Parameters
        ----------
        request : Request or int, default 200
            What the batch is to be, or how many pairs or lists with all else at its default.
        list_size : int, optional
            How many responses to one prompt are ranked at once, 2 to 8; default as the request says, else pairs.

        Returns
        -------
        list
            The questions; fewer than asked for where no more pairs are left. Where annotators are chosen, the answers
            that they want add up to the size.

        Raises
        ------
        InvalidInputError, CapabilityError
            Where the request cannot be filled, or annotators are to be chosen and nobody's reliability is known.
        """
        request = request if isinstance(request, Request) else Request(size=request)
        if list_size is not None:
            request = Request(**dict(request) | {"list_size": list_size})
        request = request.under(self.store.names())
        batch = 1 + max((entry["number"] for entry in self.store.batches()), default=0)
        seed = int(self.settings["seed"])
        plan, constraints = request.with_targets(self.targets), constraints_of(request, self.pool)
        drawn = request.candidates
        wide = request.model_copy(update={"candidates": drawn if drawn is None else max(drawn, request.size)})
        try:
            root = rng.child(seed, "candidates", batch)
            pairs = candidates_of(wide, self.pool, constraints, root, self.spent(request.identical))
        except NoCandidatesError as error:
            raise nothing_left(request, self.store.questions(), self.store.answers()) from error
        # What does not depend on labels needs no fit to them.
        labels = self.preferences() if plan.criterion.uses_labels else Preferences.none()
        lists = request.list_size > 2
        if request.choose_annotators:
            require_reliabilities(self.configuration, labels)
        posterior = self._fitted(labels, lists)
        child = rng.child(seed, "selection", batch)
        selection: Selection | ListSelection
        answers = None
        if lists:
            selection = select_lists(plan, posterior, pairs, request.size, request.list_size, child)
        elif request.choose_annotators:
            selection, people = choose_answers(plan, posterior, pairs, request, child)
            answers = Answers(people=people)
        else:
            selection = plan.select(posterior, pairs, min(request.size, len(pairs)), child)
            answers = self._answers_to(selection, request, posterior)
        questions = questions_of(selection, request, self.settings["tag"], batch, seed, answers)
        described = request.describe(plan, constraints)
        if isinstance(selection, Selection) and selection.inclusion is not None:
            weights = dict(zip(zip(selection.first, selection.second, strict=True), selection.weight, strict=True))
            described["importance"] = [float(weights[q.first, q.second]) for q in questions]
        self.store.add_batch(batch, plan.criterion.name, described, questions)
        return questions

    @checked
    def tell(
        self,
        file: str | os.PathLike[str],
        form: str | None = None,
        annotator: Unicode = "",
        answers: Mapping[str, str] | None = None,
        dry_run: bool = False,
        again: bool = False,
        users: Mapping[str, str] | None = None,
    ) -> TellReport:
        """Take a file of answers: all of it, or nothing where it is killed.

        Parameters
        ----------
        file : str or path
            What came back from annotators, whole or in part, however often; or a data set of labels in any form that
            ``bayesrm embed`` reads, whose pairs are found in the pool by their texts.
        form : str, optional
            Its format, a hand-off or a form of data set; default as it is recognised.
        annotator : str, default ""
            Who answered, where the file does not say.
        answers : mapping of str to str, optional
            What words in the file mean: ``{"1": "left", "2": "right"}``, with left, right, tie or skip.
        dry_run : bool, default False
            Whether to say only what would become of it, and to write nothing.
        again : bool, default False
            Whether to take answers that were taken back, or that somebody else gave in the same way, and those to the
            questions of another campaign, by their texts.
        users : mapping of str to str, optional
            Who the users of a tool are, which its files call by a number or an address: ``{"10": "ana"}``.

        Raises
        ------
        InvalidInputError
            Where nothing of it can be read, what its answers mean is not known, no row of it belongs to the campaign,
            it is a copy of what was told under another name, or it does not say who of several people answered.
        """
        found = labels_by_texts(
            Path(file), form, answers or {}, self.store, self.pool, self.pool_path, annotator, users, again
        )
        if found is not None:
            told = unasked.data_set(Path(file), found, annotator, users)
            return unasked.tell_votes(self.store, told, dry_run, again)
        questions = {question.id: question for question in self.store.questions()}

        @cache
        def asked(name: str) -> Sheet | None:
            question = questions.get(name)
            return None if question is None else self.sheet(question, "")

        shown = None if self.pool.texts is None else asked
        points = self.configuration.points
        return tell_file(self.store, Path(file), form, annotator, answers, shown, dry_run, again, users, points)

    def preferences(self) -> Preferences:
        """The answers that count, as preferences about the pool; ties are ½, skips are left out.

        In a campaign that asks on a scale outcomes are grades, 1 where the first is better by all that it has.
        """
        return as_preferences(self.store.questions(), self.store.answers(), self.configuration.points)

    @checked
    def labels(self, ties: str = "keep", conflicts: str = "all") -> pd.DataFrame:
        """The answers that count as a table for other programs: chosen and rejected texts, who, when, weights.

        Parameters
        ----------
        ties : {"keep", "half", "drop"}
            "keep" has winner "tie", "half" two rows, one in each order with half the weight, "drop" none.
        conflicts : {"all", "majority"}
            Every answer as a row, or one row a question as most of its votes say.

        Returns
        -------
        DataFrame
            A row a label; its columns are those of ``bayesrm.campaign.labels.base.COLUMNS``.

        Raises
        ------
        InvalidInputError
            Where there are no answers yet, or the pool has no texts.

        See Also
        --------
        export_labels : Writes them as a file.
        """
        rows = label_rows(self, ties, conflicts).rows
        return pd.DataFrame([as_record(row) for row in rows], columns=list(COLUMNS))

    @checked
    def export_labels(
        self,
        to: str = "trl",
        out: str | os.PathLike[str] | None = None,
        ties: str | None = None,
        conflicts: str = "all",
    ) -> list[Path]:
        """Write the answers that count as data for other programs, with a card that says what they are.

        Told again into an empty campaign about the same pool, the file gives the same posterior, unless there are
        rankings of lists: each is written as the pairs that it decides.

        Parameters
        ----------
        to : str, default "trl"
            A format: "trl", "csv", "parquet", "argilla", "label-studio", or one of your own.
        out : str or path, optional
            The file; default ``labels`` in the folder of the campaign.
        ties, conflicts : str, optional
            See :meth:`labels`; ties by default as the format takes them: in both orders in TRL's, as such elsewhere.

        Returns
        -------
        list
            The files that were written, the labels first and the card last.

        Raises
        ------
        InvalidInputError
            Where there are no answers yet, the pool has no texts, or there is no such format or rule.
        """
        return export_labels(self, to, out, ties, conflicts)[0]

    @checked
    def model(self, labels: Preferences | None = None) -> RewardModel:
        """What is fitted by default: a model of the campaign's settings, for answers such as these."""
        return model_of(self.configuration, self.pool, self.preferences() if labels is None else labels)

    @checked
    def fit(
        self,
        model: RewardModel | None = None,
        inference: str | Inference | None = None,
        labels: Preferences | None = None,
    ) -> RewardPosterior:
        """The posterior given the answers that count; the same labels give the same posterior, to the bit.

        Parameters
        ----------
        model : RewardModel, optional
            Default :meth:`model`.
        inference : str or Inference, optional
            See ``fit``; default that of the campaign's settings.
        labels : Preferences, optional
            Default :meth:`preferences`.
        """
        labels = self.preferences() if labels is None else labels
        model = self.model(labels) if model is None else model
        inference = self.configuration.inference if inference is None else inference
        seed = rng.child(int(self.settings["seed"]), "fit")
        return fit_model(model, self.pool, labels, inference, seed=seed, device=self.device)
