"""The prompt banks: what can be asked, what a right answer says and what a wrong one says.

Every topic family is one TOML file in ``banks/``. An item has a ``topic`` (a noun phrase), three ``asks``
(prompts), ``good`` points (true, fitting) and ``bad`` points (false, silly or unfit; the one at position j
replaces the good one at position j). Bad points must do no harm to whoever follows them, and those on harmful
requests must be of no use. ``[a|b]`` marks a free choice of words, so that the same point is seldom said
twice in the same way. Arithmetic is not written down but made up from numbers by
``arithmetic_items``.
"""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BANKS = Path(__file__).parent / "banks"
WRITTEN_FAMILIES = (
    "coding", "cooking", "facts", "harmful", "health", "howto", "law", "opinions", "travel", "writing",
)  # fmt: skip
FAMILIES = ("arithmetic", *WRITTEN_FAMILIES)

CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")

Phrases = dict[str, list[str]]


@dataclass(frozen=True)
class Item:
    """One thing to ask about, with the points that answers to it are made of."""

    family: str
    topic: str
    asks: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]


def vary(text: str, rng: np.random.Generator) -> str:
    """Replace every ``[a|b|c]`` by one of its alternatives."""

    def pick(match: re.Match[str]) -> str:
        alternatives = match.group(1).split("|")
        return alternatives[rng.integers(len(alternatives))]

    return CHOICE.sub(pick, text)


def load_phrases() -> Phrases:
    """The paraphrase bank: attribute name to sentences."""
    return tomllib.loads((BANKS / "phrases.toml").read_text(encoding="utf-8"))


def load_items(family: str) -> list[Item]:
    """The items of a written family in the order of its file."""
    rows = tomllib.loads((BANKS / f"{family}.toml").read_text(encoding="utf-8"))["item"]
    return [Item(family, row["topic"], tuple(row["asks"]), tuple(row["good"]), tuple(row["bad"])) for row in rows]


def split_items(rng: np.random.Generator) -> tuple[list[Item], list[Item]]:
    """Items for the pool and for the test: no item is in both.

    Of the 14 items a written family, 9 go to the pool and 5 to the test. Of the arithmetic items 30 and 10.
    """
    pool, test = [], []
    for family in WRITTEN_FAMILIES:
        items = load_items(family)
        order = rng.permutation(len(items))
        pool += [items[i] for i in order[:9]]
        test += [items[i] for i in order[9:]]
    sums = arithmetic_items(40, rng)
    return pool + sums[:30], test + sums[30:]


@dataclass(frozen=True)
class WordProblem:
    """A question in two numbers a and b with its true value and a typical slip."""

    question: str
    setup: str
    unit: str
    formula: str
    value: Callable[[int, int], float]
    slip: Callable[[int, int], float]


WORD_PROBLEMS = (
    WordProblem(
        "A train travels {a} km in {b} hours. What is its average speed?",
        "Speed is distance divided by time",
        "km per hour",
        "{a} / {b}",
        lambda a, b: a / b,
        lambda a, b: a / b + 5,
    ),
    WordProblem(
        "{name} buys {b} notebooks at {a} cents each. How much is that in total?",
        "Multiply the price by the number of notebooks",
        "cents",
        "{a} x {b}",
        lambda a, b: a * b,
        lambda a, b: a * b - 10 * b,
    ),
    WordProblem(
        "What is {b} percent of {a}?",
        "A percentage is that many hundredths of the number",
        "altogether",
        "{a} x {b} / 100",
        lambda a, b: a * b / 100,
        lambda a, b: a / b,
    ),
    WordProblem(
        "{name} shares {a} marbles equally among {b} friends. How many does each of them get?",
        "Divide the marbles by the number of friends",
        "marbles",
        "{a} / {b}",
        lambda a, b: a / b,
        lambda a, b: a / b + 4,
    ),
    WordProblem(
        "A garden is {a} metres long and {b} metres wide. What is its area?",
        "The area of a rectangle is length times width",
        "square metres",
        "{a} x {b}",
        lambda a, b: a * b,
        lambda a, b: 2 * (a + b),
    ),
    WordProblem(
        "A jacket costs {a} euros and is reduced by {b} percent. What is the new price?",
        "Take the reduction away from the old price",
        "euros",
        "{a} - {a} x {b} / 100",
        lambda a, b: a - a * b / 100,
        lambda a, b: a - b,
    ),
    WordProblem(
        "{name} saves {b} euros a week. How many weeks does it take to save {a} euros?",
        "Divide the goal by what is saved in a week",
        "weeks",
        "{a} / {b}",
        lambda a, b: a / b,
        lambda a, b: a / b + 3,
    ),
    WordProblem(
        "What is {a} plus {b} times 3?",
        "Multiplication comes before addition",
        "altogether",
        "{a} + 3 x {b}",
        lambda a, b: a + 3 * b,
        lambda a, b: 3 * (a + b),
    ),
)
NAMES = ("Amira", "Ben", "Chloe", "Deniz", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Jun")


def arithmetic_items(count: int, rng: np.random.Generator) -> list[Item]:
    """Word problems with fresh numbers, all with different questions."""
    items: dict[str, Item] = {}
    while len(items) < count:
        problem = WORD_PROBLEMS[len(items) % len(WORD_PROBLEMS)]
        b = int(rng.choice([5, 10, 15, 20, 25]))
        a = 2 * b * int(rng.integers(3, 12))
        name = NAMES[rng.integers(len(NAMES))]
        ask = problem.question.format(a=a, b=b, name=name)
        shown = problem.formula.format(a=a, b=b)
        right, wrong = f"{problem.value(a, b):g}", f"{problem.slip(a, b):g}"
        good = (
            f"{problem.setup}[, so we need {shown}|, which here means {shown}].",
            f"[Working that out|Calculating it], {shown} = {right}.",
            f"[So the answer is|The result is therefore] {right} {problem.unit}.",
            f"[A rough estimate|Doing it backwards] agrees: {right} [is of the right size|fits the numbers].",
        )
        bad = (
            good[0],
            f"[Working that out|Calculating it], {shown} = {wrong}.",
            f"[So the answer is|The result is therefore] {wrong} {problem.unit}.",
        )
        if right != wrong:
            items[ask] = Item("arithmetic", "this calculation", (ask,), good, bad)
    return list(items.values())
