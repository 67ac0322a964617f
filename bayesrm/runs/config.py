"""The settings of a run from the command line or a study, validated; what a worker process needs to carry one out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from bayesrm.errors import InvalidInputError

HIDDEN_LAYERS = 3
"""As in the paper; a single number for ``hidden`` means so many layers of that size."""


def _layers(value: object) -> object:
    return (value,) * HIDDEN_LAYERS if isinstance(value, int) else value


def _all(value: object) -> object:
    return None if value == 0 and not isinstance(value, bool) else value


Layers = Annotated[tuple[PositiveInt, ...], Field(min_length=1), BeforeValidator(_layers)]
CountOrAll = Annotated[PositiveInt | None, BeforeValidator(_all)]
"""A number, or all there are: None, and 0 where a file cannot say None."""


def _one_of(package: str, registry: str, *others: str) -> Callable[[str], str]:
    """A name that a registry has, or another; it is opened when first asked, as that imports all its parts."""

    def known(name: str) -> str:
        if name not in others:
            getattr(import_module(f"bayesrm.{package}"), registry)[name]
        return name

    return known


DesignName = Annotated[str, AfterValidator(_one_of("design", "CRITERIA"))]
SelectorName = Annotated[str, AfterValidator(_one_of("design", "SELECTORS"))]
InferenceName = Annotated[str, AfterValidator(_one_of("inference", "INFERENCES"))]
EncoderName = Annotated[str, AfterValidator(_one_of("models.encoders", "ENCODERS", "auto"))]
LikelihoodName = Annotated[str, AfterValidator(_one_of("models.likelihoods", "LIKELIHOODS"))]


class RunConfig(BaseModel):
    """One run on pools that lie in files.

    Field names are the arguments of :func:`bayesrm.run`, of ``RewardModel``, and of the simulated annotator:
    ``temperature``, ``flip``, ``annotators`` and ``annotator_spread``, see :mod:`bayesrm.annotators.crowd`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pool: Path
    test: Path | None = None
    scope: Literal["within-prompt", "cross-prompt"] = "within-prompt"
    encoder: EncoderName = "auto"
    hidden: Layers = (64, 64, 64)
    training: Literal["early-stopped", "paper"] = "early-stopped"
    inputs: Literal["raw", "standardized", "within-prompt"] | None = None
    prompt_intercept: bool | None = None
    likelihood: LikelihoodName = "bradley-terry"
    prior_scale: PositiveFloat | None = None
    inference: InferenceName | None = None
    design: DesignName | None = None
    selector: SelectorName | None = None
    temperature: PositiveFloat = Field(default=1.0, allow_inf_nan=False)
    flip: NonNegativeFloat = Field(default=0.0, lt=0.5)
    annotators: PositiveInt = 1
    annotator_spread: NonNegativeFloat = Field(default=0.0, allow_inf_nan=False)
    prompts: CountOrAll = 500
    candidates: CountOrAll = 20_000
    identical: bool = False
    per_prompt: PositiveInt | None = None
    per_response: PositiveInt | None = None
    min_within: NonNegativeInt = 0
    batch_size: PositiveInt = 125
    rounds: PositiveInt = 10
    seed: NonNegativeInt = 0
    draws: PositiveInt = 1024
    log_likelihood: bool = False
    by_prompt: bool = False
    device: str | None = None

    @property
    def folder(self) -> str:
        """A name for the run's folder that tells it from its neighbours."""
        parts = [self.scope, self.inference or "default", self.design or "default"]
        return "-".join([*parts, *([self.selector] if self.selector else []), f"seed{self.seed}"])


def make_config(**settings: object) -> RunConfig:
    """A RunConfig, or one sentence about the first setting that is wrong."""
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        key, message = first_complaint(error)
        raise InvalidInputError(f"--{key.replace('_', '-')}: {message}" if key else message) from error


def first_complaint(error: ValidationError) -> tuple[str, str]:
    """The first thing that is wrong: the dotted key, empty where it is not about a single one, and a sentence."""
    first: Any = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return key, "there is no such setting"
    if first["type"] != "value_error":
        message += f", got {first['input']!r}"
    return key, message
