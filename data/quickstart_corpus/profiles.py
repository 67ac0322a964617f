"""The pretend models that write the answers: five levels of skill times four habits.

A bird gives the skill (how often a point is wrong, how many points are covered, how well the model tells
a harmful prompt from a harmless one), a suffix gives the habit. ``draw`` turns a profile into the
attributes of one answer.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Attributes:
    """What an answer is like. Counts are numbers of sentences unless said otherwise."""

    good: int  # right points
    bad: int  # wrong points
    drift: int  # 0 stays on topic, 1 leaves it half-way, 2 never touches it
    refusal: int  # 0 none, 1 reluctant, 2 full
    hedges: int
    assertive: int
    warmth: int
    flattery: int
    padding: int
    repeats: int
    reasons: int  # explanations, examples, checks
    careless: int  # shrugs and shortcuts
    listed: bool  # points as a list


@dataclass(frozen=True)
class Skill:
    """How good a model is; everything is a probability but ``points`` (mean) and ``chatter`` (a factor)."""

    wrong: float  # a point is wrong
    points: float  # how many points it makes
    unsafe: float  # helps with a harmful request
    needless_refusal: float  # declines a harmless one, at least in part
    drift: float  # leaves the topic
    chatter: float  # multiplies flattery, padding and repeats
    reasons: float  # multiplies reasons


@dataclass(frozen=True)
class Habit:
    """How a model likes to talk; hedges and asides are means, the others probabilities."""

    hedges: float
    assertive: float
    warmth: float
    flattery: float
    padding: float
    repeats: float
    asides: float
    listed: float


@dataclass(frozen=True)
class Profile:
    """A pretend model."""

    name: str
    skill: Skill
    habit: Habit


SKILLS = {
    "wren": Skill(
        wrong=0.58, points=2.3, unsafe=0.62, needless_refusal=0.12, drift=0.22, chatter=1.5, reasons=0.6
    ),
    "finch": Skill(
        wrong=0.42, points=2.6, unsafe=0.52, needless_refusal=0.16, drift=0.16, chatter=1.25, reasons=0.8
    ),
    "robin": Skill(
        wrong=0.30, points=2.9, unsafe=0.44, needless_refusal=0.16, drift=0.12, chatter=1.0, reasons=1.0
    ),
    "heron": Skill(
        wrong=0.20, points=3.2, unsafe=0.36, needless_refusal=0.14, drift=0.08, chatter=0.75, reasons=1.2
    ),
    "crane": Skill(
        wrong=0.10, points=3.6, unsafe=0.28, needless_refusal=0.08, drift=0.05, chatter=0.5, reasons=1.5
    ),
}
HABITS = {
    "plain": Habit(
        hedges=0.2,
        assertive=0.15,
        warmth=0.15,
        flattery=0.05,
        padding=0.15,
        repeats=0.10,
        asides=0.9,
        listed=0.25,
    ),
    "chatty": Habit(
        hedges=0.3,
        assertive=0.25,
        warmth=0.55,
        flattery=0.45,
        padding=0.35,
        repeats=0.20,
        asides=0.9,
        listed=0.10,
    ),
    "careful": Habit(
        hedges=1.6,
        assertive=0.03,
        warmth=0.35,
        flattery=0.05,
        padding=0.15,
        repeats=0.10,
        asides=0.8,
        listed=0.30,
    ),
    "thorough": Habit(
        hedges=0.4,
        assertive=0.10,
        warmth=0.25,
        flattery=0.10,
        padding=0.30,
        repeats=0.30,
        asides=1.8,
        listed=0.60,
    ),
}
CARELESS_IF_RIGHT, CARELESS_IF_WRONG = 0.12, 0.75

PROFILES = tuple(
    Profile(f"{bird}-{manner}", skill, habit) for bird, skill in SKILLS.items() for manner, habit in HABITS.items()
)


def draw(profile: Profile, *, family: str, difficulty: float, rng: np.random.Generator) -> Attributes:
    """Attributes of one answer. ``difficulty`` between 0 and 1 makes wrong points more likely."""
    skill, habit = profile.skill, profile.habit
    drift = draw_level(skill.drift, rng)
    refusal = draw_level(skill.needless_refusal, rng)
    good, bad = draw_points(skill, difficulty, rng)
    if family == "harmful":
        unsafe = rng.random() < skill.unsafe
        good, bad = (0, min(3, good + bad)) if unsafe else (min(3, good + bad - 1), 0)
        refusal = int(rng.random() < 0.3) if unsafe else 2
    elif refusal == 2:
        good = bad = 0
    elif family == "arithmetic":
        good, bad = (0, 3) if bad else (max(3, good), 0)
    if refusal == 2:
        drift = 0
    if drift == 2:
        good = bad = refusal = 0
    has_points = good + bad > 0
    explains = has_points and not (family == "harmful" and refusal == 2)
    asides = min(3, int(rng.poisson(habit.asides * skill.reasons))) if explains else 0
    careless = int(rng.binomial(asides, CARELESS_IF_WRONG if bad > good else CARELESS_IF_RIGHT))
    return Attributes(
        good=good,
        bad=bad,
        drift=drift,
        refusal=refusal,
        hedges=min(3, int(rng.poisson(habit.hedges))),
        assertive=int(rng.binomial(2, habit.assertive)) if refusal < 2 else 0,
        warmth=int(rng.binomial(2, habit.warmth)),
        flattery=int(rng.binomial(2, habit.flattery * skill.chatter)),
        padding=int(rng.binomial(2, habit.padding * skill.chatter)),
        repeats=int(rng.binomial(3, habit.repeats * skill.chatter)) if has_points else 0,
        reasons=asides - careless,
        careless=careless,
        listed=bool(rng.random() < habit.listed),
    )


def draw_level(probability: float, rng: np.random.Generator) -> int:
    """0, 1 or 2 for an attribute that is absent, partial or full; partial and full are equally likely."""
    return int(rng.choice(3, p=[1 - probability, probability / 2, probability / 2]))


def draw_points(skill: Skill, difficulty: float, rng: np.random.Generator) -> tuple[int, int]:
    """How many right and wrong points an answer makes, four at most."""
    wrong = np.clip(skill.wrong + 0.4 * (difficulty - 0.5), 0.03, 0.95)
    points = int(np.clip(1 + rng.poisson(skill.points - 1), 1, 4))
    bad = min(3, int(rng.binomial(points, wrong)))
    return points - bad, bad
