"""A likelihood from what ``Likelihood.describe`` says of it."""

from __future__ import annotations

from inspect import signature
from typing import Any

from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.base import Likelihood


def make_likelihood(described: dict[str, Any]) -> Likelihood:
    """The likelihood that was described, if bayesrm has it by name; nuisance parameters as before any label."""
    form = LIKELIHOODS[described["name"]]
    # A description also has what follows from the settings; a parameter that is estimated was not set.
    given = {} if described.get("estimated") else described
    return form(**{name: given[name] for name in signature(form).parameters if name in given})
