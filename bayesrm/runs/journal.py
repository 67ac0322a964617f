"""The journal of a run: what was asked, what was answered and what was measured, round by round, on disk.

A round is three files, written in this order and each whole or absent: ``selection`` before anybody is asked,
``labels`` as soon as they are answered, ``metrics`` when the refitted model was evaluated. So whatever was paid
for survives a kill at any moment, and a resumed run goes on with the first file that is missing.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd

from bayesrm.design.lists.selection import ListSelection
from bayesrm.design.selection import Selection
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences
from bayesrm.utils.checked import Natural, checked
from bayesrm.utils.files import read_json, replacing, write_json

RUN_FILE = "run.json"
CONTENTS = "contents"
Metrics = dict[str, Any]
_RECORDED = {
    **dict.fromkeys(("design", "selector", "inference"), str),
    **dict.fromkeys(("seed", "draws"), int),
    **dict.fromkeys(("pool", "model", "annotator"), dict),
}
_RECORDED_OF_POOL = {"embeddings": str, "responses": int, "dimension": int}
"""What every run says of itself: setting → type."""


@checked
@dataclass(frozen=True)
class RoundRecord:
    """What happened in one round.

    Parameters
    ----------
    round : int
        Its number, from 0.
    selection : Selection or ListSelection
        What was asked, with gains.
    labels : Preferences
        What was answered.
    metrics : Metrics
        Of the model refitted after the round: test metrics, entropy, prior scale.

    See Also
    --------
    run : Keeps one a round.
    open_results : The trajectory of a finished run.

    Examples
    --------
    >>> batch = brm.select(posterior, brm.candidates(pool), size=4)
    >>> record = brm.RoundRecord(0, batch, annotator.label(batch), {"entropy": posterior.entropy()})
    >>> len(record.labels)
    4
    """

    round: Natural
    selection: Selection | ListSelection
    labels: Preferences
    metrics: Metrics

    @property
    def answers(self) -> int:
        """How many answers there are: comparisons, or rankings."""
        if isinstance(self.selection, Selection):
            return len(self.labels)
        ends = set(zip(self.labels.first.tolist(), self.labels.second.tolist(), strict=True))
        return sum(any(pair in ends for pair in permutations(own, 2)) for own in self.selection.lists.tolist())


class Journal:
    """Rounds of one run, in a directory, or in memory where there is none.

    Parameters
    ----------
    directory
        Where to keep it; None keeps nothing.
    configuration
        What the run depends on; a directory of another configuration is refused.
    contents
        "pool" and "test" → all of it, in a digest. A directory whose pool had others is refused; one that is older than
        these digests goes on with a warning.

    Raises
    ------
    InvalidInputError
        Where the directory holds a run of another configuration or of other pools, or something that is not a run.
    """

    def __init__(
        self, directory: Path | None, configuration: dict[str, Any], contents: dict[str, str] | None = None
    ) -> None:
        self._directory = directory
        self._configuration = configuration | ({CONTENTS: contents} if contents else {})
        self._memory: dict[tuple[int, str], Any] = {}
        if directory is None:
            return
        nearest = next(parent for parent in (directory, *directory.absolute().parents) if parent.exists())
        if not nearest.is_dir():
            raise InvalidInputError(f"expected a folder for the run, and {nearest} is a file: choose another")
        path = directory / RUN_FILE
        if path.exists():
            if any(directory.glob("rounds/*")):
                there = read_json(path)
                kept = there.pop(CONTENTS, None) or {}
                if not isinstance(kept, dict):
                    raise InvalidInputError(f"expected digests of pools as {CONTENTS} in {path}, got {kept!r:.40}")
                _require_same(there, configuration, directory)
                _require_same_contents(kept, contents or {}, directory)
        elif directory.exists() and any(not entry.name.startswith(".") for entry in directory.iterdir()):
            # Hidden ones are what a process left that was killed while it wrote its first file.
            raise InvalidInputError(
                f"expected {directory} to be empty or the folder of a run, and it has other files: choose another"
            )

    def selection(self, round_index: int) -> Selection | ListSelection | None:
        """What was asked in a round, if it was chosen already."""
        table, meta = self._read(round_index, "selection")
        if table is None:
            return None
        if "member_1" in table:
            members = table.drop(columns="gain").to_numpy()
            return ListSelection(members, table["gain"].to_numpy(), meta["design"], meta["bound"])
        return Selection(
            table["first"].to_numpy(),
            table["second"].to_numpy(),
            gain=table["gain"].to_numpy(),
            design=meta["design"],
            certificate=meta["bound"],
            inclusion=table["inclusion"].to_numpy() if "inclusion" in table else None,
        )

    def keep_selection(self, round_index: int, selection: Selection | ListSelection) -> None:
        """Keep what will be asked; the first time, with the configuration, which holds from then on."""
        if self._directory is not None and round_index == 0:
            write_json(self._directory / RUN_FILE, self._configuration)
        meta = {"design": selection.design, "bound": selection.bound}
        if isinstance(selection, ListSelection):
            self._write(round_index, "selection", selection.table(), meta)
            return
        columns = {"first": selection.first, "second": selection.second, "gain": selection.gain}
        if selection.inclusion is not None:
            columns["inclusion"] = selection.inclusion
        self._write(round_index, "selection", pd.DataFrame(columns), meta)

    def labels(self, round_index: int) -> Preferences | None:
        """What was answered in a round, if it was."""
        table, _ = self._read(round_index, "labels")
        if table is None:
            return None
        return Preferences(
            table["first"].to_numpy(),
            table["second"].to_numpy(),
            table["outcome"].to_numpy(),
            annotator=table["annotator"].to_numpy() if "annotator" in table else None,
            weight=table["weight"].to_numpy() if "weight" in table else None,
            choice=table["choice"].to_numpy() if "choice" in table else None,
        )

    def keep_labels(self, round_index: int, labels: Preferences) -> None:
        """Keep what was paid for."""
        columns = {"first": labels.first, "second": labels.second, "outcome": labels.outcome}
        for name in ("annotator", "weight", "choice"):
            if getattr(labels, name) is not None:
                columns[name] = getattr(labels, name)
        self._write(round_index, "labels", pd.DataFrame(columns), {})

    def metrics(self, round_index: int) -> Metrics | None:
        """What was measured after a round, if it was."""
        if self._directory is None:
            metrics: Metrics | None = self._memory.get((round_index, "metrics"))
            return metrics
        path = self._path(round_index, "metrics", "json")
        return _as_measured(read_json(path), path) if path.exists() else None

    def keep_metrics(self, round_index: int, metrics: Metrics) -> None:
        """Keep what was measured."""
        if self._directory is None:
            self._memory[round_index, "metrics"] = metrics
        else:
            write_json(self._path(round_index, "metrics", "json"), metrics)

    def record(self, round_index: int) -> RoundRecord:
        """A finished round."""
        selection, labels = self.selection(round_index), self.labels(round_index)
        metrics = self.metrics(round_index)
        if selection is None or labels is None or metrics is None:
            raise InvalidInputError(
                f"round {round_index} of {self._directory} lacks one of its files (selection, labels, metrics): "
                "put it back, or delete the later files of this and all later rounds to do them again"
            )
        return RoundRecord(round_index, selection, labels, metrics)

    def files(self) -> list[Path]:
        """What lies in its directory, sorted."""
        if self._directory is None:
            return []
        rounds = [path for path in sorted(self._directory.glob("rounds/*")) if not path.name.startswith(".")]
        return [self._directory / RUN_FILE, *rounds]

    def _path(self, round_index: int, what: str, suffix: str) -> Path:
        assert self._directory is not None
        return self._directory / "rounds" / f"{round_index:04d}.{what}.{suffix}"

    def _read(self, round_index: int, what: str) -> tuple[pd.DataFrame | None, dict[str, Any]]:
        if self._directory is None:
            return self._memory.get((round_index, what), (None, {}))
        path = self._path(round_index, what, "parquet")
        if not path.exists():
            return None, {}
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"{path} is damaged and cannot be read: {error}") from error
        return table, json.loads(table.attrs.get("meta", "{}"))

    def _write(self, round_index: int, what: str, table: pd.DataFrame, meta: dict[str, Any]) -> None:
        if self._directory is None:
            self._memory[round_index, what] = (table, meta)
            return
        table.attrs["meta"] = json.dumps(meta)
        with replacing(self._path(round_index, what, "parquet")) as temporary:
            table.to_parquet(temporary, index=False)


def read_configuration(directory: Path) -> dict[str, Any]:
    """The settings of the run in a folder; InvalidInputError where the file is damaged, or of something else."""
    return require_settings(read_json(directory / RUN_FILE), str(directory / RUN_FILE))


def require_settings(configuration: dict[str, Any], where: str) -> dict[str, Any]:
    """The same settings, if they have what every run records, as a damaged file and one of another kind have not."""
    pool = configuration.get("pool")
    missing = [name for name, kind in _RECORDED.items() if not isinstance(configuration.get(name), kind)]
    missing += [
        f"pool.{name}"
        for name, kind in _RECORDED_OF_POOL.items()
        if isinstance(pool, dict) and not isinstance(pool.get(name), kind)
    ]
    if missing:
        raise InvalidInputError(
            f"expected the settings of a run in {where}, and {', '.join(missing)} in it "
            f"{'is' if len(missing) == 1 else 'are'} missing or damaged: put back the file, or run it again into "
            "another folder"
        )
    return configuration


def read_records(directory: Path) -> list[RoundRecord]:
    """The finished rounds of a run, finished or still running, in its folder."""
    configuration = read_configuration(directory)
    configuration.pop(CONTENTS, None)
    journal = Journal(directory, configuration)
    records: list[RoundRecord] = []
    while journal.metrics(len(records)) is not None:
        records.append(journal.record(len(records)))
    return records


def _as_measured(metrics: Metrics, path: Path) -> Metrics:
    """Metrics as they were kept: JSON turns the integer keys of best_of_n into strings, which are turned back."""
    measured: Metrics = {}
    for name, value in metrics.items():
        try:
            if isinstance(value, dict):
                measured[name] = {int(n): float(each) for n, each in value.items()}
            elif isinstance(value, list):
                measured[name] = [float(each) for each in value]
            else:
                measured[name] = math.nan if value is None else float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(
                f"expected numbers that were measured in {path}, and {name} is {value!r:.40}: put back the file"
            ) from error
    return measured


def _require_same(there: dict[str, Any], here: dict[str, Any], directory: Path) -> None:
    """The folder's configuration must be this one; asking for more or fewer rounds is no difference."""
    there, plain = _given(there), _given(json.loads(json.dumps(here)))
    differing = sorted(key for key in there.keys() | plain.keys() if there.get(key) != plain.get(key))
    if differing:
        key = differing[0]
        raise InvalidInputError(
            f"{directory} holds a run of another configuration: {key} is {_short(there.get(key))} there and "
            f"{_short(plain.get(key))} here; choose another folder, or the same settings to continue it"
        )


def _require_same_contents(there: dict[str, str], here: dict[str, str], directory: Path) -> None:
    """The pools must be those that the run began with, to the last embedding and letter, as far as the folder knows."""
    changed = [name for name in here if name in there and there[name] != here[name]]
    if changed:
        raise InvalidInputError(
            f"the {changed[0]} of the run in {directory} was changed since it began: an embedding, a text or a "
            "covariate is another one, so its labels would be about other responses; put the old one back, or choose "
            "another folder"
        )
    if here.keys() - there.keys():
        warnings.warn(
            f"the run in {directory} was begun by a version that looked at 64 embeddings of a pool: that the others, "
            "and the texts, are still the same is not known, and it goes on",
            stacklevel=5,
        )


def _given(value: Any) -> Any:
    """Without what is None: a folder that is older than a setting does not have it, and that is the same."""
    if not isinstance(value, dict):
        return value
    return {key: _given(each) for key, each in value.items() if each is not None}


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 120 else text[:117] + "..."
