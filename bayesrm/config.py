"""The settings of a run from the command line, validated; what a worker process needs to carry one out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from bayesrm.errors import InvalidInputError


class RunConfig(BaseModel):
    """One run on pools that lie in files. Field names are the arguments of :func:`bayesrm.run`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pool: Path
    test: Path | None = None
    scope: Literal["within-prompt", "cross-prompt"] = "within-prompt"
    encoder: str = "auto"
    hidden: tuple[PositiveInt, ...] = (64, 64, 64)
    training: Literal["early-stopped", "paper"] = "early-stopped"
    likelihood: str = "bradley-terry"
    prior_scale: PositiveFloat | None = None
    inference: str | None = None
    design: str | None = None
    selector: str | None = None
    temperature: PositiveFloat = Field(default=1.0, allow_inf_nan=False)
    prompts: PositiveInt | None = 500
    candidates: PositiveInt | None = 20_000
    identical: bool = False
    per_prompt: PositiveInt | None = None
    per_response: PositiveInt | None = None
    min_within: int = Field(default=0, ge=0)
    batch_size: PositiveInt = 125
    rounds: PositiveInt = 10
    seed: int = Field(default=0, ge=0)
    draws: PositiveInt = 1024
    log_likelihood: bool = False
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
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise InvalidInputError(f"--{option}: {first['msg']}, got {first['input']!r}") from error
