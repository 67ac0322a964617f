"""Turn attributes into the text of an answer.

An answer is a sequence of blocks of sentences: an opening (warmth, flattery, padding), the body (refusal
or lead, points with reasons and repetitions, an excursion where the answer drifts), assertions and hedges
around it, and a closing line. A wrong point stands in the place of the right point that it contradicts,
so that an answer does not argue with itself.
"""

from collections.abc import Callable

import numpy as np

from .banks import Item, Phrases, vary
from .profiles import Attributes

Say = Callable[[str, int], list[str]]

POINTS_OF_AN_EXCURSION = 2
LEAD_PROBABILITY = 0.5


def write_answer(
    item: Item, other: Item, attributes: Attributes, phrases: Phrases, rng: np.random.Generator
) -> str:
    """The text of an answer to a prompt on ``item``; ``other`` is where it drifts to if it does."""

    def say(kind: str, count: int) -> list[str]:
        """``count`` different sentences of a kind, with the topics filled in."""
        chosen = rng.permutation(len(phrases[kind]))[:count]
        return [fill(vary(phrases[kind][i], rng), item, other) for i in chosen]

    opens_warmly = int(rng.integers(attributes.warmth + 1)) if attributes.warmth else 0
    opening = say("warmth_open", opens_warmly)
    opening += say("flattery", attributes.flattery) + say("padding", attributes.padding)
    early_hedges = int(rng.integers(attributes.hedges + 1))
    hedges = say("hedge", attributes.hedges)
    blocks = [
        " ".join(opening + hedges[:early_hedges]),
        body(item, other, attributes, say, rng),
        " ".join(say("assertive", attributes.assertive) + hedges[early_hedges:]),
        " ".join(say("warmth_close", attributes.warmth - opens_warmly)),
    ]
    in_paragraphs = "\n" in blocks[1] or rng.random() < 0.4
    return ("\n\n" if in_paragraphs else " ").join(block for block in blocks if block)


def fill(sentence: str, item: Item, other: Item) -> str:
    """Put the topics into a sentence."""
    return sentence.replace("{topic}", item.topic).replace("{other}", other.topic)


def body(item: Item, other: Item, attributes: Attributes, say: Say, rng: np.random.Generator) -> str:
    """Refusal or lead, points, details and repetitions, excursion."""
    before: list[str] = []
    if attributes.refusal == 2:
        before = say("refusal", 1) + (say("redirect", 1) if attributes.good == 0 else [])
    elif attributes.refusal == 1:
        before = say("reluctance", 1)
    elif rng.random() < LEAD_PROBABILITY and attributes.drift < 2:
        before = say("lead", 1)
    points = own_points(item, attributes, rng)
    excursion: list[str] = []
    if attributes.drift == 1:
        excursion = say("drift", 1)
    if attributes.drift > 0:
        count = POINTS_OF_AN_EXCURSION if attributes.drift == 1 else POINTS_OF_AN_EXCURSION + 1
        excursion += [vary(point, rng) for point in other.good[:count]]
    letter = "_on_writing" if item.family == "writing" else ""
    asides = say(f"reason{letter}", attributes.reasons) + say("careless", attributes.careless)
    again = repetitions(points, attributes, say, rng)
    sentences = [vary(text, rng) for text in points]
    if attributes.listed and len(sentences) > 1:
        numbered = bool(rng.integers(2))
        lines = [f"{n}. {text}" if numbered else f"- {text}" for n, text in enumerate(sentences, start=1)]
        tail = " ".join(asides + again + excursion)
        return "\n".join([" ".join(before), *lines, tail]).strip("\n")
    if item.family == "writing":
        return " ".join(before + sentences + asides + again + excursion)
    for aside in asides:
        sentences.insert(int(rng.integers(1, len(sentences) + 1)), aside)
    return " ".join(before + sentences + again + excursion)


def own_points(item: Item, attributes: Attributes, rng: np.random.Generator) -> list[str]:
    """Right and wrong points in the order of the item, each still with its choices of words open."""
    wrong_places = sorted(rng.permutation(len(item.bad))[: attributes.bad].tolist())
    free = [place for place in range(len(item.good)) if place not in wrong_places]
    kept = sorted(rng.permutation(free)[: attributes.good].tolist())
    if item.family == "arithmetic":
        kept = free[: attributes.good]
    chosen = {place: item.good[place] for place in kept} | {place: item.bad[place] for place in wrong_places}
    return [chosen[place] for place in sorted(chosen)]


def repetitions(points: list[str], attributes: Attributes, say: Say, rng: np.random.Generator) -> list[str]:
    """Points said again, with other words where there is a choice."""
    if not points:
        return []
    openings = say("again", attributes.repeats)
    return [f"{opening} {vary(points[rng.integers(len(points))], rng)}" for opening in openings]
