"""Likelihoods, one a file: what an annotator says of two responses, given the linear predictor η.

A new likelihood is a new file here with a :class:`~bayesrm.models.likelihoods.base.Likelihood` that has a
``name``; it is found by that name and nothing else needs an edit.
"""

from __future__ import annotations

from typing import Any

from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.registry import Registry

LIKELIHOODS: Registry[Likelihood] = Registry(__name__, Likelihood, "likelihood")
RECOMMENDED_LIKELIHOOD = "bradley-terry"
"""What a reward model has where none is asked for."""


def __getattr__(name: str) -> Any:
    return LIKELIHOODS.exported(name)
