"""Errors a user can act on: each message says what was expected, what came and what to do."""


class BayesRMError(Exception):
    """Base of all errors that bayesrm raises on purpose; the command line prints its one sentence."""


class InvalidInputError(BayesRMError, ValueError):
    """Data or settings that cannot be used."""


class UnknownNameError(InvalidInputError, KeyError):
    """A name that nothing is called by."""

    def __str__(self) -> str:
        return str(self.args[0])


class CapabilityError(BayesRMError, TypeError):
    """Something was asked of a part that it does not have, such as the disagreement of a point estimate."""


class NoCandidatesError(InvalidInputError):
    """Every pair was already asked, or cannot teach anything."""
