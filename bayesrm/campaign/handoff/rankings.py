"""Rankings as people and tools write them.

"B > A = D > C" ranks all of four, A and D being a tie; "B" says that B is the best, "B > A" also which comes second;
"B ... C" says the best and the worst, the dots standing for those between. "tie" is that none is better than another
one, "skip" that somebody cannot say. Commas, semicolons and new lines stand for ">", small letters for capitals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bayesrm.campaign.handoff.base import Broken, ParsedAnswer, Unclear
from bayesrm.campaign.handoff.words import SIDES, plain
from bayesrm.campaign.rankings import LETTERS, Ranking
from bayesrm.campaign.records import Question

_DOTS = re.compile(r"\.{2,}|…")
_PLACE = re.compile(r"[>,;\n]+")
_UNDECIDED = {word: side for side in ("tie", "skip") for word in SIDES[side]}


def of_lists(
    parts: Sequence[ParsedAnswer | Broken], questions: Mapping[str, Question]
) -> list[ParsedAnswer | Broken]:
    """The parts of a file, those about lists read as rankings: a "B" is the best one there, and not the right one."""
    return [_of_list(part, questions) for part in parts]


def _of_list(part: ParsedAnswer | Broken, questions: Mapping[str, Question]) -> ParsedAnswer | Broken:
    answer = part.answer if isinstance(part, Unclear) else part
    question = questions.get(answer.question) if isinstance(answer, ParsedAnswer) else None
    if question is None or not question.is_list or not isinstance(answer, ParsedAnswer):
        return part
    try:
        found = parse_ranking(answer.words, len(question.members))
    except ValueError as error:
        return Broken(answer.place, str(error), question=answer.question)
    if isinstance(found, Ranking):
        return replace(answer, side="ranked", ranking=found)
    return replace(answer, side=found)


def parse_ranking(words: str, size: int) -> Ranking | str | None:
    """What words say of a list, with members by their position; "tie" or "skip", or None for an open question.

    Parameters
    ----------
    words
        As somebody wrote them.
    size
        How many members the list has.

    Raises
    ------
    ValueError
        With the reason, where they are no such answer.
    """
    said = plain(words)
    if not str(words).strip():
        return None
    if said in _UNDECIDED:
        return _UNDECIDED[said]
    dots = _DOTS.split(str(words))
    if len(dots) > 2:
        raise ValueError(f"expected dots once, for those that are not ranked, got {words.strip()[:40]!r}")
    places = tuple(_places(dots[0], words, size))
    last = tuple(_places(dots[1], words, size)) if len(dots) == 2 else ()
    if any(len(place) > 1 for place in last) or len(last) > 1:
        raise ValueError(f"expected one response after the dots, the worst, got {words.strip()[:40]!r}")
    ranking = Ranking(places, last[0][0] if last else None)
    if not ranking.named:
        raise ValueError(f"expected a response before or after the dots, got {words.strip()[:40]!r}")
    repeated = sorted({LETTERS[at] for at in ranking.named if ranking.named.count(at) > 1})
    if repeated:
        raise ValueError(f"expected each response once, got {repeated[0]} twice in {words.strip()[:40]!r}")
    if len(places) == 1 and len(places[0]) == size:
        return "tie"
    if ranking.worst is not None and len(ranking.named) == size:
        return Ranking((*places, (ranking.worst,)))
    if len(ranking.named) == size - 1 and ranking.worst is None and all(map(len, places)):
        # One that is left over is the last one.
        (left,) = set(range(size)) - set(ranking.named)
        return Ranking((*places, (left,)))
    return ranking


def words_of_places(places: Any) -> str:
    """A ranking in words from a list of letters, of which some may be lists of letters that share a place.

    Anything else is its text, which :func:`parse_ranking` refuses.
    """
    if not isinstance(places, list):
        return "" if places is None else str(places)
    return " > ".join(" = ".join(map(str, place)) if isinstance(place, list) else str(place) for place in places)


def words_of_ranks(ranks: Iterable[tuple[str, float]]) -> str:
    """A ranking in words from the rank of each letter, 1 for the best; those of one rank share a place."""
    of_rank: dict[float, list[str]] = {}
    for letter, rank in ranks:
        of_rank.setdefault(rank, []).append(letter)
    return words_of_places([of_rank[rank] for rank in sorted(of_rank)])


def _places(text: str, words: str, size: int) -> Iterator[tuple[int, ...]]:
    for place in _PLACE.split(text):
        members = [plain(member).upper() for part in place.split("=") for member in part.split()]
        if not members:
            continue
        tied = "=" in place
        if not tied and len(members) > 1:
            raise ValueError(_expected(words, size))
        for member in members:
            if len(member) != 1 or member not in LETTERS[:size]:
                raise ValueError(_expected(words, size))
        yield tuple(LETTERS.index(member) for member in members)


def _expected(words: str, size: int) -> str:
    some = LETTERS[:size]
    return (
        f"expected {some[0]} to {some[-1]} as in {' > '.join(some[1:])} > {some[0]}, the best first, = for ties, the "
        f"best alone, or best ... worst; tie or skip; got {words.strip()[:40]!r}"
    )
