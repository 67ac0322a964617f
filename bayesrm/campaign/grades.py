"""Grades: how much better a response is, as a campaign asks for it, and as the outcome of a graded likelihood.

On a scale of G points, five or seven, the left response is better by 1 to (G − 1) / 2 points, or the right one is, or
they are about equal. The outcome of s points for the first response is ½ + s / (G − 1), see
:class:`bayesrm.models.likelihoods.graded.Graded`.
"""

from __future__ import annotations

SCALES = (5, 7)
"""Points of the scales that can be asked."""
WORDS = {5: ("slightly better", "much better"), 7: ("slightly better", "better", "much better")}
"""What one point and more are called."""
EQUAL = "about equal"


def points_of(grades: int) -> int:
    """By how many points a response can be better."""
    return (grades - 1) // 2


def scale(grades: int) -> list[tuple[str, str, int]]:
    """Words, side and points of every answer on a scale, from the left response to the right one."""
    better = [(words, points) for points, words in enumerate(WORDS[grades], start=1)]
    left = [(f"left {words}", "left", points) for words, points in reversed(better)]
    return [*left, (EQUAL, "tie", 0), *((f"right {words}", "right", points) for words, points in better)]


def outcome_of_points(verdict: str, points: float, grades: int) -> float:
    """The outcome of a verdict by so many points."""
    signed = {"first": points, "second": -points}.get(verdict, 0.0)
    return 0.5 + signed / (grades - 1)


def without_points(outcome: float, grades: int) -> float:
    """The outcome of an answer that does not say how much: of middling points, 1 where the first is better."""
    if outcome not in (0.0, 1.0):
        return outcome
    middling = 0.25 + 0.5 / (grades - 1)
    return 0.5 + middling if outcome == 1 else 0.5 - middling
