"""Full fits in a process of their own, at a lower priority, so that nobody who answers waits for them.

The process opens the campaign for itself. What comes back is a session of
:class:`~bayesrm.design.live.Live` as bytes, in which this process's own pool and design stand for the other's.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from bayesrm import rng
from bayesrm.campaign.asking import Request
from bayesrm.campaign.campaign import Campaign
from bayesrm.campaign.fitting import labels_digest
from bayesrm.campaign.store import Store
from bayesrm.data import load_pool
from bayesrm.design.live import Live
from bayesrm.diagnostics.annotators import AnnotatorRecord, records_of_annotators
from bayesrm.errors import InvalidInputError
from bayesrm.runs.batches import candidates_of, constraints_of
from bayesrm.types import Comparisons
from bayesrm.utils.processes import holding_back_ctrl_c

NICENESS = 10
"""How far its priority lies below that of what serves the page."""


@dataclass(frozen=True)
class Fitted:
    """A full fit to all answers of the store, and candidates drawn anew.

    Parameters
    ----------
    live
        Asks one pair after another.
    digest
        Of the labels that it was fitted to.
    labels
        How many there were.
    annotators
        How the answers of each go with the others'.
    spent
        What was not asked again.
    """

    live: Live
    digest: str
    labels: int
    annotators: tuple[AnnotatorRecord, ...]
    spent: Comparisons


class Fitter:
    """Fits a campaign, as often as somebody wants.

    Parameters
    ----------
    campaign
        The campaign.
    request
        Which pairs its sessions choose from, and by which design.
    """

    def __init__(self, campaign: Campaign, request: Request) -> None:
        self._campaign, self._request = campaign, request
        self.plan = request.with_targets(campaign.targets)
        self.constraints = constraints_of(request, campaign.pool)

    @property
    def own(self) -> tuple[object, ...]:
        """The objects that each process has for itself; they are not sent."""
        return self._campaign.pool, self.plan

    def fit(self, number: int) -> Fitted:
        """The fit of this number, from 0; random choices of each are its own.

        Raises
        ------
        InvalidInputError
            Where it cannot be made; NoCandidatesError where no pair is left.
        """
        campaign, seed = self._campaign, int(self._campaign.settings["seed"])
        labels, spent = campaign.preferences(), campaign.spent(self._request.identical)
        posterior = campaign.fit(labels=labels)
        drawn = rng.child(seed, "live candidates", number)
        pairs = candidates_of(self._request, campaign.pool, self.constraints, drawn, spent)
        live = Live(posterior, pairs, self.plan, seed=rng.child(seed, "live", number))
        return Fitted(live, labels_digest(labels), len(labels), records_of_annotators(posterior), spent)


class FitterBeside:
    """The same in another process, which begins with the first fit.

    Parameters
    ----------
    campaign, request
        As for :class:`Fitter`.
    own
        What stands here for what the other process has for itself.
    """

    def __init__(self, campaign: Campaign, request: Request, own: tuple[object, ...]) -> None:
        self._parts = (campaign.directory, campaign.pool_path, campaign.device, request)
        self._own = own
        context = multiprocessing.get_context("spawn")
        self._here, self._there = context.Pipe()
        self._process = context.Process(target=_work, args=(self._there, *self._parts), name="fits", daemon=True)
        self._starting, self._ended = threading.Lock(), False

    def fit(self, number: int) -> Fitted | None:
        """As :meth:`Fitter.fit`; None where the process was ended, or was killed."""
        try:
            if not self._start():
                return None
            self._here.send_bytes(pickle.dumps(number))
            came = _Reader(io.BytesIO(self._here.recv_bytes()), self._own).load()
        except (EOFError, OSError):
            return None
        if isinstance(came, InvalidInputError):
            raise came
        return came

    def end(self) -> None:
        """Stop; a fit that is under way is abandoned."""
        with self._starting:
            self._ended = True
            if self._process.pid is not None:
                self._process.terminate()
                self._process.join()

    def _start(self) -> bool:
        with self._starting:
            if not self._ended and self._process.pid is None:
                with holding_back_ctrl_c():
                    self._process.start()
                self._there.close()
            return not self._ended


def _work(connection: Connection, directory: Path, pool_path: Path, device: str | None, request: Request) -> None:
    """Make a fit for each number received, until the sender is gone."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICENESS)
    torch.set_num_threads(1)
    fitter = Fitter(Campaign(directory, Store(directory), pool_path, load_pool(pool_path), device), request)
    while True:
        try:
            number = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        came: Fitted | InvalidInputError
        try:
            came = fitter.fit(number)
            came.live.prepare()  # the first choice takes longest, as no pair is known that is good
        except InvalidInputError as error:
            came = error
        packed = io.BytesIO()
        _Writer(packed, fitter.own).dump(came)
        connection.send_bytes(packed.getbuffer())


class _Writer(pickle.Pickler):
    """Leaves out what the reader has for itself."""

    def __init__(self, file: io.BytesIO, own: tuple[object, ...]) -> None:
        super().__init__(file)
        self._own = own

    def persistent_id(self, value: object) -> int | None:
        """The index of an object that each process has for itself; None for any other."""
        return next((place for place, mine in enumerate(self._own) if value is mine), None)


class _Reader(pickle.Unpickler):
    """Puts the reader's own in its place."""

    def __init__(self, file: io.BytesIO, own: tuple[object, ...]) -> None:
        super().__init__(file)
        self._own = own

    def persistent_load(self, place: Any) -> object:
        """The object of this process at an index."""
        return self._own[place]
