"""Errors a user can act on: each message says what was expected, what came and what to do."""

import re

_LONGEST_WORD = 300
"""Characters without a space between them: a path of a usual length is shown whole."""


class BayesRMError(Exception):
    """Base of all errors that bayesrm raises on purpose; the command line prints its one sentence.

    It stays on one line, and to be read, whatever names and values from files and from people are in it.
    """

    def __str__(self) -> str:
        said = " ".join(": ".join(str(part) for part in self.args if part != "").split())
        return re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", _cut, said)


class InvalidInputError(BayesRMError, ValueError):
    """Data or settings that cannot be used."""


class UnknownNameError(InvalidInputError, KeyError):
    """A name that nothing is called by."""


class CapabilityError(BayesRMError, TypeError):
    """Something was asked of a part that it does not have, such as the disagreement of a point estimate."""


class NoCandidatesError(InvalidInputError):
    """Every pair was already asked, or cannot teach anything."""


def _cut(word: re.Match[str]) -> str:
    half = _LONGEST_WORD // 2
    return f"{word[0][:half]}…{word[0][-half:]}"
