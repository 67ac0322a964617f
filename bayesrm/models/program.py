r"""A user's own Pyro model of the last layer and the answers.

A plain Pyro function of ``(features, first, second, outcome=None)`` with

- a sample site ``beta``: Normal with independent components, one a feature (mean and scale may depend on other sites);
- any further sample sites outside the plate: nuisance parameters;
- a plate of comparisons with a site ``outcome`` of two values, or of 0, ½, 1, which knows features through
  r = features @ beta only.

The function is read as it is: run on a single feature that holds rewards, with β = 1, its outcome site *is* the
likelihood p(y | η, ν); run on no comparisons, its other sites are the prior. Nothing has to be written twice.

A bias towards the answer that is shown first, say:

    def position_bias(features, first, second, outcome=None):
        beta = pyro.sample("beta", dist.Normal(0.0, 0.1).expand([features.shape[-1]]).to_event(1))
        bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
        reward = features @ beta
        with pyro.plate("comparison", len(first)):
            logit = reward[first] - reward[second] + bias
            return pyro.sample("outcome", dist.Bernoulli(logits=logit), obs=outcome)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, ClassVar

import pyro
import torch
from jaxtyping import Float, Int64
from pyro.distributions import Distribution
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import Independent, Normal

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.models.context import Context
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.models.nuisance import NuisanceSpace, Values, is_random
from bayesrm.models.site_names import require_names
from bayesrm.utils.devices import created_on
from bayesrm.utils.identity import code_digest

RewardProgram = Callable[..., Tensor]
"""A Pyro function of (features, first, second, outcome=None)."""
WEIGHTS, OUTCOME = "beta", "outcome"
BETA_PRIOR = _LOCATION, _PRECISION = "beta_location", "beta_precision"
"""Under which names the values of a program have the prior of β."""


class PyroProgram:
    """A user's Pyro function, taken apart into prior, nuisance parameters and likelihood.

    Parameters
    ----------
    function
        See the module. It is checked once, here: that the sites are there and have names under which their draws can
        be kept, that the prior of ``beta`` is Normal, and that rewards are all that it takes from the features.

    Raises
    ------
    InvalidInputError
        Where it is not such a function, saying what is missing.
    """

    def __init__(self, function: RewardProgram) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        try:
            self.likelihood = self._read()
        except (TypeError, RuntimeError, ValueError, IndexError, AttributeError) as error:
            if isinstance(error, InvalidInputError):
                raise
            raise InvalidInputError(
                f"expected {self.name} to be a Pyro function of (features, first, second, outcome=None), "
                f"and it fails: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            ) from error

    def __call__(
        self,
        features: Float[Tensor, "response feature"],
        first: Int64[Tensor, "comparison"],
        second: Int64[Tensor, "comparison"],
        outcome: Float[Tensor, "comparison"] | None = None,
        weight: Float[Tensor, "comparison"] | None = None,
    ) -> Float[Tensor, "comparison"]:
        """Run it, each comparison's log-likelihood times its weight."""
        with created_on(features.device), _default_dtype(features.dtype):
            if len(first) == 0:
                return self._prior_alone(features)
            with nullcontext() if weight is None else _Weighted(weight):
                return self.function(features, first, second, outcome)

    def nuisance_space(self, features: int, device: torch.device | None = None) -> NuisanceSpace:
        """All sites but ``beta`` and ``outcome``; among the values are location and precision of β's prior."""
        return NuisanceSpace(partial(self._values, features, device or torch.device("cpu")), device)

    def prior(self, values: Values) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]:
        """Mean and precision of β given the nuisance parameters."""
        return values[_LOCATION], values[_PRECISION]

    def _prior_alone(self, features: Float[Tensor, "response feature"]) -> Float[Tensor, "0"]:
        """Its sites but the outcome: a plate cannot be empty, so it has one comparison, which nobody sees."""
        pair = torch.arange(2, device=features.device)
        with pyro.poutine.block(hide=[OUTCOME]):
            self.function(features.new_zeros((2, features.shape[1])), pair[:1], pair[1:], features.new_zeros(1))
        return features.new_empty(0)

    def _values(self, features: int, device: torch.device) -> Values:
        zeros = torch.zeros((2, features), dtype=torch.float64, device=device)
        pair = torch.arange(2, device=device)
        # Weights and outcome are given, so that nothing is drawn.
        given = pyro.poutine.condition(self.function, data={WEIGHTS: zeros[0]})
        with rng.alone(), pyro.poutine.block(hide=[WEIGHTS, OUTCOME]):
            sites = _sites(given, zeros, pair[:1], pair[1:], zeros[0, :1])
        values = {
            name: node["value"]
            for name, node in sites.items()
            if is_random(node) and name not in (WEIGHTS, OUTCOME)
        }
        base: Any = sites[WEIGHTS]["fn"]
        while isinstance(base, Independent):
            base = base.base_dist
        if not isinstance(base, Normal) or base.loc.shape != (features,):
            raise InvalidInputError(
                f"expected the site {WEIGHTS!r} of {self.name} to be Normal with one independent component a feature "
                "(dist.Normal(0.0, 1.0).expand([features.shape[-1]]).to_event(1)), "
                f"got {sites[WEIGHTS]['fn']}"
            )
        return values | {_LOCATION: base.loc.double(), _PRECISION: base.scale.double().pow(-2)}

    def _read(self) -> ProgramLikelihood:
        """The likelihood, after a check of the sites, and of the parts against the whole on random features."""
        features = torch.from_numpy(rng.stream(0, "program").normal(size=(6, 3)))
        first, second = torch.tensor([0, 1, 2, 5]), torch.tensor([3, 4, 5, 0])
        with rng.fenced(0), torch.no_grad():
            sites = self._checked_sites(features, first, second)
            latent = {
                name: node["value"]
                for name, node in sites.items()
                if is_random(node) and name not in (WEIGHTS, OUTCOME)
            }
            require_names(latent, self.name, BETA_PRIOR)
            alone = self._values(3, torch.device("cpu"))
            for name, value in latent.items():
                if name not in alone or alone[name].shape != value.shape:
                    raise InvalidInputError(
                        f"expected the site {name!r} of {self.name} outside the plate of comparisons: latent "
                        "variables of single comparisons are not supported"
                    )
            likelihood = ProgramLikelihood(self.function, self.name, self._outcomes(sites[OUTCOME]["fn"]))
            reward = features @ sites[WEIGHTS]["value"].double()
            logit, some = reward[first] - reward[second], torch.tensor([2, 0])
            parts = likelihood.given(latent).outcome_log_probs(logit)
            apart = likelihood.given(latent).outcome_log_probs(logit[some])
            whole = [sites[OUTCOME]["fn"].log_prob(torch.full((4,), y)).double() for y in likelihood.outcomes]
        same = whole[0].shape == (4,) and torch.allclose(parts, torch.stack(whole, dim=-1), atol=1e-5)
        if not same or not torch.allclose(apart, parts[some], atol=1e-5):
            raise InvalidInputError(
                f"expected the outcome of {self.name} to depend on features through features @ {WEIGHTS} alone, "
                "and on each comparison alone; it depends on something else"
            )
        return likelihood

    def _checked_sites(
        self, features: Float[Tensor, "_ _"], first: Int64[Tensor, "_"], second: Int64[Tensor, "_"]
    ) -> dict[str, Any]:
        """The sites of a run with given outcomes, if those that are needed are there."""
        sites = _sites(self.function, features, first, second)
        observed = (
            _sites(self.function, features, first, second, sites[OUTCOME]["value"]) if OUTCOME in sites else {}
        )
        missing = sorted({WEIGHTS, OUTCOME} - set(sites))
        if missing:
            raise InvalidInputError(
                f"expected {self.name} to have sample sites {WEIGHTS!r} and {OUTCOME!r}, and it has no "
                f"{' and no '.join(map(repr, missing))}"
            )
        if not observed[OUTCOME]["is_observed"]:
            raise InvalidInputError(
                f"expected the site {OUTCOME!r} of {self.name} to be observed where outcomes are given: obs=outcome"
            )
        return sites

    def _outcomes(self, site: Any) -> tuple[float, ...]:
        """The support of the outcome site, ascending."""
        if not site.has_enumerate_support:
            raise InvalidInputError(
                f"expected the outcome of {self.name} to have a finite support, such as Bernoulli or "
                f"bayesrm.models.likelihoods.finite.FiniteOutcomes, got {site}"
            )
        values = tuple(sorted(float(value) for value in site.enumerate_support(expand=False).flatten()))
        if len(values) < 2 or values[0] < 0 or values[-1] > 1:
            raise InvalidInputError(
                f"expected the outcome of {self.name} to be 0 (second preferred), 1 (first preferred) or a number "
                f"between, got the values {values}: FiniteOutcomes of bayesrm.models.likelihoods.finite takes any"
            )
        return values


class ProgramLikelihood(Likelihood):
    """The likelihood inside a Pyro program: its outcome site, as a function of the logit.

    Parameters
    ----------
    function, title
        The program, and what it is called.
    outcomes
        The support of its outcome site.
    """

    name: ClassVar[str] = "program"
    outcomes: tuple[float, ...]  # type: ignore[misc]

    def __init__(self, function: RewardProgram, title: str, outcomes: tuple[float, ...]) -> None:
        self._function, self.title, self.outcomes = function, title, outcomes
        self._values: Values = {}

    def describe(self) -> dict[str, Any]:
        """What the program is called, and its code in a digest."""
        return {"name": self.name, "title": self.title, "program_sha256": code_digest(self._function)}

    def given(self, values: Mapping[str, Tensor], context: Context | None = None) -> ProgramLikelihood:
        """A copy whose other sites have these values."""
        copied = copy.copy(self)
        copied.context = Context() if context is None else context
        copied._values = {name: value for name, value in values.items() if name not in BETA_PRIOR}
        return copied

    def outcome_log_probs(self, logit: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair outcome"]:
        """Of the outcome site."""
        flat = logit.reshape(-1)
        # A plate cannot be empty.
        some = flat if len(flat) else torch.nn.functional.pad(flat, (0, 1))
        site: Any = self.distribution(some)
        log_probs = [site.log_prob(torch.full_like(some, value)) for value in self.outcomes]
        return torch.stack(log_probs, dim=-1)[: len(flat)].reshape(*logit.shape, len(self.outcomes))

    def distribution(self, logit: Float[Tensor, "pair"]) -> Distribution:
        """The outcome site of the program, run on rewards η and 0 as the only feature with a weight of 1."""
        rewards = torch.cat([logit, torch.zeros_like(logit)])[:, None]
        first = torch.arange(len(logit), device=logit.device)
        program = pyro.poutine.condition(self._function, data=self._values | {WEIGHTS: logit.new_ones(1)})
        # All sites are given, so that nothing is drawn; which outcome does not matter.
        with rng.alone(), pyro.poutine.block(), created_on(logit.device):
            sites = _sites(program, rewards, first, first + len(logit), torch.zeros_like(logit))
        site: Distribution = sites[OUTCOME]["fn"]
        return site


class _Weighted(Messenger):
    """Multiplies the log-likelihood of the outcome site by a weight for each comparison."""

    def __init__(self, weight: Float[Tensor, "comparison"]) -> None:
        super().__init__()
        self._weight = weight

    def _pyro_sample(self, message: dict[str, Any]) -> None:
        if message["name"] == OUTCOME:
            message["scale"] = message["scale"] * self._weight


def _sites(function: RewardProgram, *arguments: Tensor) -> dict[str, Any]:
    """The nodes of a trace."""
    with rng.alone(), _default_dtype(arguments[0].dtype), pyro.validation_enabled(False):
        nodes: dict[str, Any] = dict(pyro.poutine.trace(function).get_trace(*arguments).nodes)
    return nodes


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Constants of a program, as in Normal(0.0, 1.0), take the precision of its features."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
