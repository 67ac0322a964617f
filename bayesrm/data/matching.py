"""Labels of a file, found again among the responses of a pool by their texts.

A response of the pool is the one that a label means where prompt and response read the same: a dialogue as its text,
with line ends and blanks around as they may be. A response that repeats its prompt is also found without it, because
files of pairs are read so. Where a pool does not know the texts of its prompts, the pair itself has to be unique.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float

from bayesrm.data.conversation import as_text
from bayesrm.data.directory import RESPONSES
from bayesrm.data.formats.base import Item, Label, Told
from bayesrm.data.reading import SAMPLE, Notes, Reader, open_reader
from bayesrm.data.sources import SourceRow, read_rows
from bayesrm.data.texts import as_grades, as_preferences, load_pool_texts
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.csv_cells import unharmed

SHOWN = 60
"""Characters of a text that is shown in a reason."""


class Chosen(NamedTuple):
    """A pair of responses, and the id of the question about it that a label names; "" where it names none."""

    first: int
    second: int
    question: str = ""


Choose = Callable[[Sequence[tuple[int, int]], Label], Chosen | None]
"""Pairs that read alike, and what is said of one of them → which one; None where it is the first."""


class PoolTexts:
    """The responses of a pool by their texts.

    Parameters
    ----------
    responses
        (response,) their texts.
    group
        (response,) which of them answer the same prompt.
    prompts
        (response,) the texts of their prompts, or the labels of prompts whose texts are not known.
    prompts_known
        Whether these are texts.
    """

    def __init__(
        self, responses: Sequence[str], group: np.ndarray, prompts: Sequence[str], prompts_known: bool
    ) -> None:
        self._group, self._prompts_known = group, prompts_known
        self._prompts = {_key(prompt) for prompt in prompts}
        self._rows: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._by_response: defaultdict[str, list[int]] = defaultdict(list)
        shortened: list[tuple[tuple[str, str], int]] = []
        self._responses = list(map(_key, responses))
        for row, (prompt, response) in enumerate(zip(map(_key, prompts), self._responses, strict=True)):
            self._rows[prompt, response].append(row)
            self._by_response[response].append(row)
            if prompts_known and response.startswith(prompt):
                shortened.append(((prompt, response[len(prompt) :].strip()), row))
        for key, row in shortened:
            if key not in self._rows:
                self._rows[key].append(row)

    @classmethod
    def of(cls, pool: ResponsePool, path: Path | None = None) -> PoolTexts:
        """Of a pool, whose prompts' texts are in its folder.

        Raises
        ------
        InvalidInputError
            Where it has no texts.
        """
        if pool.texts is None:
            raise InvalidInputError(
                f"expected the texts of responses in the pool {pool if path is None else path}, by which labels are "
                "matched, and it has none: make the pool with bayesrm embed, or add a column response to its "
                "responses.parquet"
            )
        table = None if path is None else path / RESPONSES
        if table is not None and table.is_file() and "prompt" in pq.read_schema(table).names:
            assert path is not None
            prompts, responses = load_pool_texts(path)
            return cls(responses, pool.group, list(map(as_text, prompts)), True)
        return cls(list(pool.texts), pool.group, [str(label) for label in pool.prompt], False)

    def pair(
        self, prompt: str, first: str, second: str, label: Label | None = None, choose: Choose | None = None
    ) -> Chosen:
        """The two responses, to the same prompt wherever that can be.

        Parameters
        ----------
        prompt, first, second
            Their texts.
        label, choose
            What is said of them, and what tells by it which pair is meant where several read so; else the first is.

        Raises
        ------
        InvalidInputError
            Where the pool does not have them, they are one response, or it is not certain which they are.
        """
        asked = _key(prompt)
        if asked not in self._prompts and unharmed(asked) in self._prompts:
            asked = unharmed(asked)
        found = [self._find(asked, text) for text in (first, second)]
        pairs = [(one, other) for one in found[0] for other in found[1] if one != other]
        together = [pair for pair in pairs if self._group[pair[0]] == self._group[pair[1]]]
        known = self._prompts_known or asked in self._prompts
        if known and not pairs:
            raise InvalidInputError("both answers are the same response of the pool")
        alike = (together or pairs) if known else together
        chosen = choose(alike, label) if alike and choose is not None and label is not None else None
        if chosen is not None:
            return chosen
        if not known and len({self._group[one] for one, _ in together}) != 1:
            why = "several prompts" if together else "no prompt"
            raise InvalidInputError(f"the pool has both answers under {why}, and does not know the prompts' texts")
        return Chosen(*alike[0])

    def alike(self, one: int, other: int) -> bool:
        """Whether two responses read the same."""
        return self._responses[one] == self._responses[other]

    def _find(self, prompt: str, text: str) -> list[int]:
        response = _key(text)
        for read in (response, _key(unharmed(response))):
            if not self._prompts_known and prompt not in self._prompts:
                found = self._by_response.get(read, [])
            else:
                found = self._rows.get((prompt, read), [])
            if found:
                return found
        if self._prompts_known and prompt not in self._prompts:
            raise InvalidInputError(f"the pool does not have the prompt, got {_short(prompt)}")
        raise InvalidInputError(f"the pool does not have the response, got {_short(response)}")


@dataclass(frozen=True, eq=False)
class MatchedLabel:
    """A label of two responses of a pool.

    Parameters
    ----------
    place
        Where it stands in the source, in words.
    first, second
        The responses.
    label
        What was said.
    question
        The id of the question of a campaign that it names; "" where it names none of it.
    """

    place: str
    first: int
    second: int
    label: Label
    question: str = ""


@dataclass(frozen=True, eq=False)
class MatchedLabels:
    """The labels of a source that are about responses of a pool.

    Parameters
    ----------
    labels
        Those, in the order of the source.
    aside
        Place and reason of what is no such label.
    format
        The form in which the source was read.
    rows
        How many rows it has.
    notes
        What was decided, a sentence each.
    """

    labels: tuple[MatchedLabel, ...]
    aside: tuple[tuple[str, str], ...]
    format: str
    rows: int
    notes: tuple[str, ...] = ()

    def preferences(self) -> Preferences:
        """All of them, as labels of the pool's rows."""
        found, _ = as_preferences([(one.first, one.second, one.label) for one in self.labels])
        return Preferences.none() if found is None else found

    def grades(self) -> Float[np.ndarray, "comparison"]:
        """How much better the first of each is, from 0 to 1; NaN where the source does not say."""
        found = as_grades([(one.first, one.second, one.label) for one in self.labels])
        return np.full(len(self.labels), np.nan) if found is None else found


def match_labels(
    source: str, texts: PoolTexts, mapping: Mapping[str, str] | None = None, choose: Choose | None = None
) -> MatchedLabels:
    """Read a source of labels in any of the forms of ``FORMATS``, and find its pairs in a pool.

    Parameters
    ----------
    source
        What :func:`bayesrm.data.texts.read_texts` takes.
    texts
        Of the pool.
    mapping
        What the source calls columns, as in ``read_texts``.
    choose
        Tells which pair is meant where several of the pool read alike; default the first.

    Raises
    ------
    InvalidInputError
        Where the source cannot be read, or its columns are in no known form.
    """
    notes: list[str] = []
    reader, rows = open_source(source, notes, mapping)
    found: list[MatchedLabel] = []
    aside: list[tuple[str, str]] = []
    happened, count = Notes(), 0
    for number, item in reader.items(rows):
        count += 1
        if isinstance(item, InvalidInputError):
            aside.append((f"row {number}", str(item)))
            continue
        happened.add(item.notes, number)
        if not item.labels:
            aside.append((f"row {number}", "the row has no label"))
        matched, unknown = _matched(number, item, texts, choose)
        found += matched
        aside += unknown
    said = (*notes, *reader.notes, *happened.sentences())
    return MatchedLabels(tuple(_joined_ties(found, texts)), tuple(aside), reader.form.name, count, said)


def open_source(
    source: str, notes: list[str], mapping: Mapping[str, str] | None = None
) -> tuple[Reader, Iterable[SourceRow]]:
    """How the rows of a source are read, and all of them; InvalidInputError where they are in no known form."""
    rows = read_rows(source, notes=notes)
    first = list(islice(rows, SAMPLE))
    readable = [row for _, row in first if not isinstance(row, InvalidInputError)]
    if not readable:
        why = f" (row {first[0][0]}: {first[0][1]})" if first else ""
        raise InvalidInputError(f"expected rows with labels in {source}, and there are none{why}")
    return open_reader(readable, source, mapping, Told()), chain(first, rows)


def _matched(
    number: int, item: Item, texts: PoolTexts, choose: Choose | None
) -> tuple[list[MatchedLabel], list[tuple[str, str]]]:
    prompt = as_text(item.prompt)
    found: list[MatchedLabel] = []
    aside: list[tuple[str, str]] = []
    for label in item.labels:
        answers = item.answers[label.first], item.answers[label.second]
        place = f"row {next((answer.row for answer in answers if answer.row is not None), number)}"
        try:
            pair = texts.pair(prompt, answers[0].text, answers[1].text, label, choose)
        except InvalidInputError as error:
            aside.append((place, str(error)))
        else:
            found.append(MatchedLabel(place, pair.first, pair.second, label, pair.question))
    return found, aside


def _joined_ties(labels: Iterable[MatchedLabel], texts: PoolTexts) -> list[MatchedLabel]:
    """Two halves of a tie, written in both orders for programs that take no ties, as the one tie that they are.

    Of two responses that read the same both orders do, too.
    """
    halves: dict[tuple[object, ...], int] = {}
    joined: list[MatchedLabel] = []
    for one in labels:
        label = one.label
        if label.outcome == 0.5 and label.weight == 0.5:
            who = (label.annotator, label.answered, one.question)
            same = texts.alike(one.first, one.second)
            at = halves.pop((one.first, one.second, *who) if same else (one.second, one.first, *who), None)
            if at is not None:
                joined[at] = replace(joined[at], label=replace(joined[at].label, weight=None))
                continue
            halves[one.first, one.second, *who] = len(joined)
        joined.append(one)
    return joined


def _key(text: str) -> str:
    return text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").strip()


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
