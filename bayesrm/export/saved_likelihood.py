"""Likelihoods as JSON and tensors: which one, how it was set, and what was learnt of its nuisance parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.likelihoods.described import make_likelihood
from bayesrm.models.program import BETA_PRIOR, PyroProgram
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.posteriors.networks import NetworkDraws

Values = dict[str, Tensor]


def describe_likelihood(posterior: RewardPosterior) -> tuple[dict[str, Any], Values]:
    """Name and settings of a posterior's likelihood, and its nuisance parameters at their posterior location."""
    model = posterior.model
    context = Context.of(posterior.preferences, torch.device("cpu"))
    described = {"settings": model.likelihood.describe(), "annotators": list(context.annotators)}
    values = {
        name: value.detach().cpu().double().contiguous()
        for name, value in model.nuisance_space(context).values(_location(posterior)).items()
        if name not in BETA_PRIOR
    }
    return described, values


def load_likelihood(described: dict[str, Any], values: Values, own: Any = None) -> Likelihood | None:
    """The likelihood for comparisons by nobody in particular; None where it is the user's own and not given.

    Parameters
    ----------
    described, values
        From :func:`describe_likelihood`.
    own
        The user's likelihood, or Pyro program, where it is neither of bayesrm's.
    """
    settings = described["settings"]
    likelihood: Likelihood
    if isinstance(own, Likelihood):
        likelihood = own
    elif own is not None:
        likelihood = PyroProgram(own).likelihood
    elif settings["name"] in LIKELIHOODS:
        likelihood = make_likelihood(settings)
    else:
        return None
    if likelihood.name != settings["name"]:
        raise InvalidInputError(
            f"expected the likelihood {settings['name']!r}, which the reward model was fitted with, "
            f"got {likelihood.name!r}"
        )
    return likelihood.given(values)


def _location(posterior: RewardPosterior) -> Tensor:
    """Unconstrained nuisance parameters, as the posterior's own predictions take them."""
    if isinstance(posterior, LastLayerPosterior):
        return posterior.nuisance.cpu()
    assert isinstance(posterior, NetworkDraws)
    return posterior.nuisance.mean(dim=0).cpu()
