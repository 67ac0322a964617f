"""Labels and votes that were recorded before, wherever they are: beside a pool, in files of any form, in campaigns."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bayesrm.campaign.answers import as_preferences
from bayesrm.campaign.datasets import is_data_set, read_export
from bayesrm.campaign.grades import SCALES
from bayesrm.campaign.store import STORE_FILE, Store
from bayesrm.data import load_pool
from bayesrm.data import preferences as parquet
from bayesrm.data import votes as tables
from bayesrm.data.fingerprint import Fingerprint
from bayesrm.data.matching import MatchedLabels, PoolTexts, match_labels
from bayesrm.data.sources import read_rows
from bayesrm.data.votes import REQUIRED, Votes
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.checked import checked


@checked
def load_preferences(
    path: str | os.PathLike[str],
    pool: str | os.PathLike[str] | ResponsePool | None = None,
    graded: bool = False,
) -> Preferences:
    """Read labels of pairs, as indices into a pool.

    Parameters
    ----------
    path : str or path
        A pool directory, whose ``preferences.parquet`` ``bayesrm embed`` wrote; such a file; a file with the columns
        ``first``, ``second`` and ``outcome`` as :func:`load_votes` takes it; the folder of a campaign; or, with
        ``pool``, what people compared, in TRL's form and every other that ``bayesrm formats`` lists, or as Label Studio
        and Argilla export it.
    pool : str, path or ResponsePool, optional
        The pool that the labels are about. Files of texts need it: their pairs are found by prompt and responses, and
        rows that the pool does not have are left out. The folder of a pool knows the texts of its prompts; in a pool
        that was opened, a pair is found by its responses and must be unique.
    graded : bool, default False
        Whether outcomes are to be grades, how much better one is, for ``likelihood="graded"``: preferences from −3 to 3
        as HelpSteer3's, margins of few sizes, answers of a campaign on a scale. Labels without one are left out.

    Returns
    -------
    Preferences
        In the order of the file.

    Raises
    ------
    InvalidInputError
        Where there are no labels, they cannot be read, not one of them is about responses of the pool, or none has a
        grade.

    See Also
    --------
    fit : Learns a reward from them.
    load_votes : The same for votes that are replayed.

    Examples
    --------
    >>> texts = ["Owl.", "Trout.", "Sahara.", "Baltic."]
    >>> small = brm.ResponsePool(np.eye(4), ["bird", "bird", "sea", "sea"], texts)
    >>> from pathlib import Path
    >>> line = '{"prompt": "Name a sea.", "chosen": "Baltic.", "rejected": "Sahara."}'
    >>> written = Path("pairs.jsonl").write_text(line)
    >>> labels = brm.load_preferences("pairs.jsonl", pool=small)
    >>> labels.first, labels.second, labels.outcome
    (array([3]), array([2]), array([1.]))
    """
    file = Path(path)
    if file.is_dir() and not _store_of(file):
        return parquet.load_preferences(file, graded)
    if file.suffix == ".parquet" and has_indices(file):
        return parquet.load_preferences(file, graded)
    found = _recorded(file, pool, graded)
    if found is not None:
        return found
    labels = tables.read_votes(file)
    return parquet.with_grades(labels, np.full(len(labels), np.nan), str(file)) if graded else labels


@checked
def load_votes(path: str | os.PathLike[str], pool: str | os.PathLike[str] | ResponsePool | None = None) -> Votes:
    """Read recorded votes.

    Parameters
    ----------
    path : str or path
        A Parquet, CSV or JSON Lines file with a row a vote: the columns ``first`` and ``second`` (row numbers of the
        pool's responses), ``outcome`` (1 first, 0 second, ½ tie), and optionally ``annotator``. Or a pool directory:
        its ``votes.parquet``, else its ``preferences.parquet``. Or the folder of a campaign, or a file of texts as
        :func:`load_preferences` takes it.
    pool : str, path or ResponsePool, optional
        The pool that was voted on, by whose texts the pairs of a file of texts are found, see
        :func:`load_preferences`.

    Returns
    -------
    Votes
        Every vote, in the order of the file.

    Raises
    ------
    InvalidInputError
        Where there is no such file, it cannot be read, lacks a column, or has no votes in it.

    See Also
    --------
    ReplayAnnotator : An annotator that answers with them.

    Examples
    --------
    >>> from pathlib import Path
    >>> lines = ["first,second,outcome,annotator", "0,1,1,anna", "1,0,0,bert", "0,2,0.5,anna"]
    >>> written = Path("votes.csv").write_text("\\n".join(lines))
    >>> votes = brm.load_votes("votes.csv")
    >>> len(votes), len(votes.pairs)
    (3, 2)
    """
    found = _recorded(Path(path), pool)
    if found is None:
        return tables.read_votes(path)
    return Votes(found.first, found.second, found.outcome, found.annotator, found.weight, found.choice)


def _recorded(
    file: Path, pool: str | os.PathLike[str] | ResponsePool | None, graded: bool = False
) -> Preferences | None:
    """The labels of a campaign or of a file of texts; None of a file that refers to the pool by row numbers."""
    directory = _store_of(file)
    if directory is not None:
        return _of_campaign(directory, pool, graded)
    if not file.is_file() or has_indices(file):
        return None
    if pool is None:
        if not is_data_set(file, None):
            return None
        raise InvalidInputError(
            f"expected also the pool that the texts of {file} are about, by which its pairs are found: say pool="
        )
    place = None if isinstance(pool, ResponsePool) else Path(pool)
    opened = pool if isinstance(pool, ResponsePool) else load_pool(pool)
    texts = PoolTexts.of(opened, place)
    found: MatchedLabels | None = (
        match_labels(str(file), texts) if is_data_set(file, None) else read_export(file, None, texts)
    )
    if found is None or not found.labels:
        why = f" ({': '.join(found.aside[0])})" if found is not None and found.aside else ""
        raise InvalidInputError(
            f"expected labels of two responses of the pool {place or opened} in {file}, and there is none{why}"
        )
    labels = found.preferences()
    return parquet.with_grades(labels, found.grades(), str(file)) if graded else labels


def _of_campaign(directory: Path, pool: str | os.PathLike[str] | ResponsePool | None, graded: bool) -> Preferences:
    store = Store(directory)
    if pool is not None:
        opened = pool if isinstance(pool, ResponsePool) else load_pool(pool)
        if Fingerprint.of(opened).digest() != store.settings()["fingerprint"]:
            raise InvalidInputError(
                f"expected the pool that the campaign {directory} is about, and {pool} is another one, or was changed "
                "since: give the pool of the campaign"
            )
    answers = [answer for answer in store.answers() if not graded or answer.grade is not None]
    labels = as_preferences(store.questions(), answers, max(SCALES) if graded else None)
    if len(labels) == 0:
        raise InvalidInputError(f"expected answers in the campaign {directory}, and there are none yet")
    return labels


def _store_of(path: Path) -> Path | None:
    """The folder of a campaign, from it or from its store."""
    folder = path.parent if path.name == STORE_FILE else path
    return folder if (folder / STORE_FILE).is_file() else None


def has_indices(file: Path) -> bool:
    """Whether a file says by row numbers which responses its labels are about."""
    if not file.is_file():
        return False
    if file.suffix == ".parquet":
        try:
            return set(REQUIRED) <= set(pq.read_schema(file).names)
        except (OSError, ValueError):
            return True  # whoever reads it says what is wrong
    try:
        row = next((row for _, row in read_rows(str(file)) if not isinstance(row, InvalidInputError)), {})
    except InvalidInputError:
        return True
    return bool({"first", "second"} & set(row))
