"""The settings of a run, each declared once: in groups that the loop, campaigns, studies and commands share.

The names are those of the arguments of :func:`bayesrm.run`, of ``RewardModel`` and of ``candidates``. A new setting is
a field here; options of commands, keys of TOML files and the record of a run follow from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from bayesrm.utils.checked import MOST
from bayesrm.utils.settings import Settings, setting

HIDDEN_LAYERS = 3
"""As in the paper; a single number for ``hidden`` means this many layers of that size."""


def _named(package: str, registry: str, *others: str, also: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """A name that a registry has, another name, or an object of one of the package's classes.

    The package is imported when a value is checked, not before: help texts of commands do without torch.
    """

    def known(value: Any) -> Any:
        module = import_module(f"bayesrm.{package}")
        if isinstance(value, str):
            if value not in also:
                getattr(module, registry)[value]
        elif not any(isinstance(value, getattr(module, other)) for other in others):
            raise ValueError(f"expected a name{''.join(f' or a {other}' for other in others)}, got {value!r}")
        return value

    return known


def _layers(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
        value = int(value[0]) if len(value) == 1 and value[0].isdigit() else value
    return (value,) * HIDDEN_LAYERS if isinstance(value, int) else value


def _all(value: object) -> object:
    return None if value in (0, "0") and not isinstance(value, bool) else value


def _scales(value: object) -> object:
    """One number, or "mlp=0.5,linear=1" as a scale for each block."""
    if isinstance(value, str) and "=" in value:
        return dict(part.strip().split("=", 1) for part in value.split(","))
    return value


def _names(value: object) -> object:
    """Names with commas between them; no name at all for an empty text and for the word none."""
    if isinstance(value, str) and value.strip() == "none":
        return ()
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _points(value: int) -> int:
    if value not in (5, 7):
        raise ValueError(f"expected a scale of 5 or 7 points, got {value}")
    return value


def _cost(value: Any) -> Any:
    if isinstance(value, str | os.PathLike):
        return value if value == "length" else Path(value)
    if value is None or callable(value) or hasattr(value, "__len__"):
        return value
    raise ValueError(f"expected 'length', an .npy file, a cost for each response or a function, got {value!r}")


def _targets(value: Any) -> Any:
    return Path(value) if isinstance(value, str | os.PathLike) else value


Layers = Annotated[tuple[PositiveInt, ...], Field(min_length=1), BeforeValidator(_layers)]
"""Sizes of layers; "64,64" on the command line."""
CountOrAll = Annotated[PositiveInt | None, BeforeValidator(_all)]
"""A number, or all there are: None, and 0 where a file or an option cannot say None."""
Number = TypeVar("Number")
Finite = Annotated[Number, Field(allow_inf_nan=False)]
PriorScale = Annotated[PositiveFloat | dict[str, PositiveFloat] | None, BeforeValidator(_scales)]
Names = Annotated[tuple[str, ...] | None, BeforeValidator(_names)]
PriorMean = Annotated[dict[str, Finite[float]] | None, BeforeValidator(_scales)]
EncoderName = Annotated[str, AfterValidator(_named("models.encoders", "ENCODERS", also=("auto",)))]
LikelihoodName = Annotated[str, AfterValidator(_named("models.likelihoods", "LIKELIHOODS"))]
AnnotatorName = Annotated[str, AfterValidator(_named("annotators", "ANNOTATORS"))]
CampaignLikelihood = Annotated[str, AfterValidator(_named("models.likelihoods", "LIKELIHOODS", also=("auto",)))]

if TYPE_CHECKING:
    import torch

    from bayesrm.design.base import Criterion, Design, Selector
    from bayesrm.design.candidates.constraints import Cost
    from bayesrm.inference.base import Inference
    from bayesrm.types import Pairs, ResponsePool

    DesignChoice: TypeAlias = str | Criterion | Design
    SelectorChoice: TypeAlias = str | Selector
    InferenceChoice: TypeAlias = str | Inference
    CostChoice: TypeAlias = str | Path | Cost
    TargetChoice: TypeAlias = str | Path | Pairs | ResponsePool
    Device: TypeAlias = str | torch.device
else:
    # Names in files and on the command line; objects too in Python, whose classes are not imported here.
    DesignChoice = Annotated[Any, AfterValidator(_named("design", "CRITERIA", "Criterion", "Design"))]
    SelectorChoice = Annotated[Any, AfterValidator(_named("design", "SELECTORS", "Selector"))]
    InferenceChoice = Annotated[Any, AfterValidator(_named("inference", "INFERENCES", "Inference"))]
    CostChoice = Annotated[Any, AfterValidator(_cost)]
    TargetChoice = Annotated[Any, AfterValidator(_targets)]
    Device = Any


class ModelSettings(Settings):
    """Arguments of ``RewardModel``."""

    heading: ClassVar[str] = "Reward model"

    encoder: EncoderName = setting("auto", "auto, as recommended, or see [bold]bayesrm encoders[/bold].")
    hidden: Layers = setting((64, 64, 64), "Sizes of the MLP's hidden layers; one number: three layers of it.")
    training: Literal["early-stopped", "paper"] = setting(
        "early-stopped",
        "How an MLP is trained: stopped early on held-out comparisons, or for the paper's 600 steps.",
    )
    inputs: Literal["raw", "standardized", "within-prompt"] | None = setting(
        None, "How embeddings are scaled before the encoder; default as recommended for it."
    )
    spectrum_power: NonNegativeFloat | None = setting(
        None,
        "Power of the spectrum that within-prompt inputs of linear and mlp+linear are scaled by; default by labels.",
    )
    prompt_intercept: bool | None = setting(
        None, "Whether each prompt has a random intercept in comparisons across prompts; default: with auto."
    )
    likelihood: LikelihoodName = setting("bradley-terry", "See [bold]bayesrm likelihoods[/bold].")
    prior_scale: PriorScale = setting(
        None, "Prior sd of a last-layer weight, or of each block as in mlp=0.5,linear=1; default by evidence."
    )
    covariates: Names = setting(
        None,
        "Covariates of the pool beside the encoder, as in log_characters,lines, or none; default all that it has.",
    )
    covariate_blocks: Literal["together", "apart"] = setting(
        "together", "Whether covariates share a prior scale, or have one each."
    )
    prior_mean: PriorMean = setting(
        None, "Prior mean of a covariate's weight in logits per sd, as in judge=0.5; default 0."
    )


class FitSettings(Settings):
    """How the posterior is computed."""

    heading: ClassVar[str] = "Reward model"

    inference: InferenceChoice | None = setting(
        None, "See [bold]bayesrm inferences[/bold]; default as recommended.", recorded="never"
    )


class DeviceSettings(Settings):
    """Where to compute."""

    heading: ClassVar[str] = "Computing"

    device: Device | None = setting(
        None, "Where to compute, such as cuda; default the CPU.", recorded="never", compared=False
    )


class BatchSettings(Settings):
    """Which pairs are asked about, see ``candidates`` and ``select``."""

    heading: ClassVar[str] = "Which pairs are asked about"

    # A run records what these resolve to: the design with its settings and targets, the constraints in one line.
    design: DesignChoice | None = setting(
        None, "See [bold]bayesrm designs[/bold]; default as recommended.", recorded="never"
    )
    selector: SelectorChoice | None = setting(
        None,
        "See [bold]bayesrm selectors[/bold]; default the design's own.",
        recorded="never",
        compared=False,  # the label of the design names it
    )
    targets: TargetChoice | None = setting(
        None,
        "Pool like the one that the model is for, without labels: what designs such as epig and vopt are to predict "
        "well; default the pool itself.",
        recorded="never",
    )
    scope: Literal["within-prompt", "cross-prompt"] = setting(
        "within-prompt",
        "Whether pairs compare two responses to the same prompt, or any two.",
        recorded="always",
    )
    prompts: CountOrAll = setting(
        500, "Prompts drawn a round, whose pairs are candidates; 0: all.", recorded="always"
    )
    candidates: CountOrAll = setting(20_000, "Candidate pairs drawn from them; 0: all.", recorded="always")
    identical: bool = setting(
        False,
        "Keep candidates with two identical or near-duplicate embeddings, as the paper does.",
        recorded="always",
    )
    per_prompt: PositiveInt | None = setting(
        None, "Most pairs of a batch that touch any one prompt; default no limit.", recorded="never"
    )
    per_response: PositiveInt | None = setting(
        None, "Most pairs of a batch that have any one response; default no limit.", recorded="never"
    )
    min_within: NonNegativeInt = setting(
        0, "Fewest pairs of a batch that compare two responses to the same prompt.", recorded="never"
    )
    cost: CostChoice | None = setting(
        None,
        "What a pair costs: 'length', the characters of its texts, or an .npy file with a cost for each response; "
        "designs rank by gain per cost.",
        recorded="never",
    )


class DrawSettings(Settings):
    """What a results file has of the posterior."""

    heading: ClassVar[str] = "Results"

    draws: Annotated[int, Field(ge=1, le=MOST)] = setting(
        1024, "Posterior draws in the results file.", recorded="always", compared=False
    )
    log_likelihood: bool = setting(
        False, "Add the log-likelihood of every draw, for az.loo.", recorded="always", compared=False
    )


class LoopSettings(DeviceSettings, DrawSettings, FitSettings, BatchSettings):
    """The settings of :func:`bayesrm.run`, but for those of its model."""

    heading: ClassVar[str] = "Rounds"

    batch_size: PositiveInt = setting(125, "Labels a round.", recorded="always")
    list_size: Annotated[int, Field(ge=2, le=8)] = setting(
        2, "Responses to one prompt that are ranked at once, a label each time; 2: pairs."
    )
    rounds: PositiveInt = setting(10, "Labelling rounds.", recorded="never")
    seed: NonNegativeInt = setting(0, "Root of every random choice.", recorded="always", compared=False)
    by_prompt: bool = setting(
        False, "Keep 1 − Spearman of each test prompt, for intervals that allow for other prompts.", compared=False
    )


class AnnotatorSettings(Settings):
    """The simulated annotators of a run on golden rewards, see :mod:`bayesrm.annotators`."""

    heading: ClassVar[str] = "Simulated annotators"

    annotator: AnnotatorName | None = setting(
        None,
        "Who answers, see [bold]bayesrm annotators[/bold]; default golden, or crowd with flips or several.",
    )
    temperature: Finite[PositiveFloat] = setting(
        1.0, "Slope of their preference probability in the golden reward."
    )
    flip: Annotated[NonNegativeFloat, Field(lt=0.5)] = setting(0.0, "Probability that an answer is flipped.")
    annotators: PositiveInt = setting(1, "How many there are; each pair goes to one of them.")
    annotator_spread: Finite[NonNegativeFloat] = setting(
        0.0, "Standard deviation of the logarithm of their temperatures."
    )


class CampaignSettings(DrawSettings, FitSettings, ModelSettings):
    """The model of a labelling campaign and its fit; the campaign's folder keeps them."""

    log_likelihood: bool = setting(
        True, "Add the log-likelihood of every draw, for az.loo.", recorded="always", compared=False
    )
    likelihood: CampaignLikelihood = setting(
        "auto", "auto, as the answers call for, or see [bold]bayesrm likelihoods[/bold]."
    )
    grades: Annotated[int, AfterValidator(_points)] | None = setting(
        None,
        "Points of a scale on which annotators say how much better one is, 5 or 7; the likelihood is then graded. "
        "Default: they say which is better alone.",
    )

    @property
    def points(self) -> int | None:
        """Points of the scale that is asked and fitted on; None where answers have no strength."""
        return 7 if self.grades is None and self.likelihood == "graded" else self.grades


class AskSettings(BatchSettings):
    """A batch of a labelling campaign."""

    heading: ClassVar[str] = Settings.heading

    size: PositiveInt = setting(200, "Pairs to ask about, or lists.", recorded="always")
    list_size: Annotated[int, Field(ge=2, le=8)] = setting(
        2, "Responses to one prompt that are ranked at once; 2: pairs."
    )
    overlap: PositiveInt = setting(1, "Annotators who answer the same pair.", recorded="always")
    overlap_share: Annotated[NonNegativeFloat, Field(le=1)] = setting(
        1.0,
        "Share of the pairs that several annotators answer; other pairs have one annotator.",
        recorded="always",
    )
    second_answers: bool = setting(
        False, "Ask some pairs of two annotators in place of other pairs, where a second answer teaches more."
    )
    choose_annotators: bool = setting(
        False,
        "Choose with each pair which of the annotators to ask, by how reliable each was so far; --size then counts "
        "answers, and a pair has a second one where that teaches more than a new pair.",
    )
    prompts: CountOrAll = setting(
        None, "Prompts drawn for the batch, whose pairs are candidates; default all.", recorded="always"
    )
