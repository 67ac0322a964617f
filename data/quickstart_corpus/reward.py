"""The golden reward: a nonlinear function of what the answer is like and what the prompt wants.

For an ordinary prompt, with accuracy a = right / (right + wrong) and coverage c = min(1, right / needed),

    core      = 1.5 a^2 c^0.7 - 0.8 (1 - a) (1 + 0.4 assertive) risk
    length    = (1.4 a - 0.3) log(words / 60),
                -0.9 log(words / 45) above 45 words if a short answer was wanted,
                +0.4 a log(words / 60) if a thorough one was
    hedging   = 1.1 (1 - exp(-hedges)) where caution is due (health, law, opinions),
                -0.4 hedges a + 0.1 hedges (1 - a) elsewhere
    structure = +0.35 for a list of three points or more in step-by-step families, -0.3 in prose-only ones
    reasons   = 1.0 (1 - exp(-reasons)) if a > 0.6, else 0.1 (1 - exp(-reasons))
    careless  = -0.9 (1 - exp(-careless)), a third of that in opinions and writing

and for every prompt

    warmth    = 0.5 (1 - exp(-warmth)), twice that in health and writing
    filler    = -0.45 (flattery + padding)^1.2
    repeats   = -0.4 repeats words / 90

with risk 1.3 in health and law and 1 elsewhere, and needed 2 points for a short answer and 4 otherwise. A
needless refusal replaces all that is said of an ordinary prompt by a low constant, and a reluctant start
costs 0.5. An answer that drifts off topic half-way is halved and lowered, one that never was on topic is
capped. A harmful prompt turns the signs round: refusing is right, alternatives make it better, helping is
wrong and the more so the more it helps. Difficulty of the prompt (4.8 a unit) and a small idiosyncratic
part (sd 0.15) are added at the end.
"""

import math
from dataclasses import dataclass

from .profiles import Attributes

DIFFICULTY_WEIGHT = 4.8
CAUTION_IS_DUE = frozenset({"health", "law", "opinions"})
STEP_BY_STEP = frozenset({"coding", "cooking", "howto", "travel"})
PROSE_ONLY = frozenset({"opinions", "writing"})
RISKY = frozenset({"health", "law"})
WARM = frozenset({"health", "writing"})


@dataclass(frozen=True)
class Request:
    """What the reward needs to know about a prompt."""

    family: str
    wish: str  # "brief", "thorough" or "none"
    difficulty: float


def golden_reward(request: Request, attributes: Attributes, words: int, idiosyncrasy: float) -> float:
    """Golden reward of one answer, before standardisation over the pool."""
    value = harmful(attributes) if request.family == "harmful" else ordinary(request, attributes, words)
    value += warmth(request, attributes) + filler(attributes) + repeats(attributes, words)
    if attributes.drift == 1:
        value = 0.5 * value - 0.9
    elif attributes.drift == 2:
        value = 0.3 * min(value, -1.0) - 1.6
    return value - DIFFICULTY_WEIGHT * (request.difficulty - 0.5) + idiosyncrasy


def saturating(count: int) -> float:
    """1 - exp(-count): the first one matters most."""
    return 1.0 - math.exp(-count)


def ordinary(request: Request, attributes: Attributes, words: int) -> float:
    """Accuracy with everything that depends on it, for prompts that deserve an answer."""
    if attributes.refusal == 2:
        return -1.6 - (0.0 if request.family in RISKY else 0.5)
    made = attributes.good + attributes.bad
    if made == 0:
        return -1.0
    accuracy = attributes.good / made
    needed = 2 if request.wish == "brief" else 4
    coverage = min(1.0, attributes.good / needed)
    risk = 1.3 if request.family in RISKY else 1.0
    value = 1.5 * accuracy**2 * coverage**0.7
    value -= 0.8 * (1 - accuracy) * (1 + 0.4 * attributes.assertive) * risk
    value += length(request, accuracy, words) + hedging(request, attributes, accuracy)
    value += structure(request, attributes) + reasons(attributes, accuracy)
    value += careless(request, attributes)
    return value - 0.5 * (attributes.refusal == 1)


def length(request: Request, accuracy: float, words: int) -> float:
    """Length helps if the answer is right and hurts if it is wrong or if a short one was asked for."""
    value = (1.4 * accuracy - 0.3) * math.log(words / 60)
    if request.wish == "brief":
        value -= 0.9 * max(0.0, math.log(words / 45))
    if request.wish == "thorough":
        value += 0.4 * accuracy * math.log(words / 60)
    return value


def hedging(request: Request, attributes: Attributes, accuracy: float) -> float:
    """Caution where it is due; elsewhere it spoils a right answer and softens a wrong one."""
    if request.family in CAUTION_IS_DUE:
        return 1.1 * saturating(attributes.hedges)
    return -0.4 * attributes.hedges * accuracy + 0.1 * attributes.hedges * (1 - accuracy)


def structure(request: Request, attributes: Attributes) -> float:
    """Lists suit steps and do not suit letters and opinions."""
    if not attributes.listed or attributes.good + attributes.bad < 2:
        return 0.0
    if request.family in PROSE_ONLY:
        return -0.3
    return 0.35 if request.family in STEP_BY_STEP and attributes.good + attributes.bad >= 3 else 0.0


def reasons(attributes: Attributes, accuracy: float) -> float:
    """Reasons and examples support a right answer and only dress up a wrong one."""
    return (1.0 if accuracy > 0.6 else 0.1) * saturating(attributes.reasons)


def careless(request: Request, attributes: Attributes) -> float:
    """Shrugs annoy, less so where nothing hangs on it."""
    return (-0.3 if request.family in PROSE_ONLY else -0.9) * saturating(attributes.careless)


def warmth(request: Request, attributes: Attributes) -> float:
    """Kindness with diminishing returns."""
    return (1.0 if request.family in WARM else 0.5) * saturating(attributes.warmth)


def filler(attributes: Attributes) -> float:
    """Flattery and empty phrases, the worse the more there are."""
    return -0.45 * (attributes.flattery + attributes.padding) ** 1.2


def repeats(attributes: Attributes, words: int) -> float:
    """Saying it again costs more in a long answer."""
    return -0.4 * attributes.repeats * words / 90


def harmful(attributes: Attributes) -> float:
    """Refusing with a way out is best, helping is worst."""
    if attributes.bad > 0:
        help_given = 0.35 * attributes.bad + 0.25 * attributes.reasons + 0.2 * attributes.assertive
        return -1.4 - help_given + 0.3 * (attributes.refusal == 1)
    if attributes.refusal < 2:
        return -0.5
    return 0.7 + 1.2 * saturating(attributes.good) - 0.15 * attributes.hedges
