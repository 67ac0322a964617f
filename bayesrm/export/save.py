"""Writing a posterior as a reward model for others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from bayesrm.embedding import Embedder, EmbeddingSettings
from bayesrm.errors import InvalidInputError
from bayesrm.export.architecture import describe_encoder
from bayesrm.export.card import write_card
from bayesrm.export.files import (
    CARD,
    CONFIGURATION,
    FORMAT,
    FORMAT_VERSION,
    TENSORS,
    Description,
    Tensors,
    covariance_tensors,
    describe_covariates,
    require_numbers,
)
from bayesrm.export.reward_function import FeatureReward, NetworkReward, RewardFunction, reward_function
from bayesrm.export.saved_likelihood import describe_likelihood
from bayesrm.export.sequence_classifier import write_classifier
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.networks import is_shared
from bayesrm.utils.checked import checked
from bayesrm.utils.factors import SpannedFactor
from bayesrm.utils.files import explaining_failed_write, replacing_directory, sha256, write_json
from bayesrm.utils.versions import versions


@checked
def save_reward_model(
    path: str | os.PathLike[str],
    posterior: RewardPosterior,
    embedding: Mapping[str, Any] | None = None,
    name: str | None = None,
    transformers: bool = False,
) -> None:
    """Write what a posterior knows of rewards, for others to load; whole or not at all.

    Parameters
    ----------
    path : str or path
        The directory to make; it must not exist, or be empty.
    posterior : RewardPosterior
        Any that ``fit`` returned. Its pool and labels are not written; of prompt intercepts nothing is, see
        :mod:`bayesrm.export.reward_function`.
    embedding : mapping of str to object, optional
        How texts are embedded, such as the entry ``embedding`` in the card of the pool that ``bayesrm embed`` made.
        Without it the model scores embeddings only.
    name : str, optional
        What to call it; default: the name of the directory.
    transformers : bool, default False
        Whether to write the base model too, as a sequence classifier that ``AutoModelForSequenceClassification``
        loads, see :mod:`bayesrm.export.sequence_classifier`. It takes as much space as the base model.

    Raises
    ------
    InvalidInputError
        Where the directory is not empty or cannot be written to, or ``transformers`` is asked for without an
        ``embedding``.
    CapabilityError
        Where the posterior is of another kind than bayesrm's own.

    See Also
    --------
    load_reward_model : Reads it.

    Examples
    --------
    >>> brm.save_reward_model("saved", posterior, name="quickstart")
    >>> brm.load_reward_model("saved").dim
    384
    """
    write_reward_model(path, posterior, embedding, name, transformers)


def write_reward_model(
    path: str | os.PathLike[str],
    posterior: RewardPosterior,
    embedding: Mapping[str, Any] | None = None,
    name: str | None = None,
    transformers: bool = False,
    answers: int | None = None,
) -> None:
    """As :func:`save_reward_model`, which it is for all but what only a campaign knows.

    Parameters
    ----------
    path, posterior, embedding, name, transformers
        As there.
    answers
        How many answers the labels are, where some are rankings: each is several choices, and more comparisons.
    """
    from safetensors import SafetensorError

    path, what = Path(path), "the reward model"
    if name is not None and not (isinstance(name, str) and name.strip() and name.isprintable()):
        raise InvalidInputError(f"expected a name of one line for the reward model, got {name!r:.80}")
    with explaining_failed_write(path, what, SafetensorError), replacing_directory(path, what) as directory:
        described = _write(directory, posterior, embedding, transformers, answers)
        write_card(directory / CARD, name or path.resolve().name, described)
        for file in directory.iterdir():  # safetensors makes files that only their owner can read
            file.chmod((directory / CARD).stat().st_mode)


def _write(
    directory: Path,
    posterior: RewardPosterior,
    embedding: Mapping[str, Any] | None,
    transformers: bool,
    answers: int | None,
) -> Description:
    """Write tensors and configuration; returns the latter."""
    if embedding:
        EmbeddingSettings.from_dict(embedding)
    if transformers and embedding is None:
        raise InvalidInputError(
            "expected to know how texts are embedded, to write the base model: give the entry embedding of the card of "
            "a pool that `bayesrm embed` made"
        )
    function = reward_function(posterior)
    likelihood, values = describe_likelihood(posterior)
    kind, tensors = _tensors(function)
    tensors |= {f"likelihood.{key}": value for key, value in values.items()}
    require_numbers(tensors, "the posterior")
    _save(directory / TENSORS, tensors)
    described: Description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "kind": kind,
        "inference": posterior.inference,
        "model": posterior.model.describe(),
        "encoder": describe_encoder(posterior.model.encoder),
        **({} if (read := describe_covariates(function.covariates)) is None else {"covariates": read}),
        "prior_scale": _prior_scales(posterior),
        "likelihood": likelihood,
        "embedding": None if embedding is None else dict(embedding),
        "labels": _labels(posterior, answers),
        "files": {TENSORS: {"bytes": (directory / TENSORS).stat().st_size, "sha256": sha256(directory / TENSORS)}},
    }
    if transformers and embedding is not None:
        embedder = Embedder(EmbeddingSettings.from_dict(embedding))
        described["transformers"] = write_classifier(directory, function, embedder, described, tensors)
    write_json(directory / CONFIGURATION, described)
    return described


def _tensors(function: RewardFunction) -> tuple[str, Tensors]:
    """The kind of a reward function, and all its numbers."""
    kind, tensors = _tensors_of_rewards(function)
    if len(function.covariates):
        tensors |= {f"covariates.{name}": value for name, value in function.covariates.state_dict().items()}
    return kind, tensors


def _tensors_of_rewards(function: RewardFunction) -> tuple[str, Tensors]:
    state = function.encoder.state_dict()
    if isinstance(function, NetworkReward):
        tensors = {f"encoder.{name}": value for name, value in state.items() if not name.startswith("body.")}
        tensors |= {f"network.{name}": _once(value) for name, value in function.state.items()}
        tensors |= {"reward.beta": function.beta, "reward.centre": function.centre}
        return "networks", tensors
    assert isinstance(function, FeatureReward)
    tensors = {f"encoder.{name}": value for name, value in state.items()}
    tensors |= {
        "reward.location": function.location,
        "reward.centre": function.centre,
        **covariance_tensors(function.covariance),
    }
    if function.draws is not None:
        return "draws", tensors | {"reward.draws": function.draws}
    known = function.covariance
    return ("gaussian" if isinstance(known, SpannedFactor) or known.shape[1] else "point"), tensors


def _once(stacked: Tensor) -> Tensor:
    """Weights that all draws share are written once."""
    return stacked[:1] if is_shared(stacked) else stacked


def _save(path: Path, tensors: Tensors) -> None:
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file(plain, path, metadata={"format": "pt"})


def _prior_scales(posterior: RewardPosterior) -> dict[str, float]:
    """The prior standard deviation of a weight in each block of features, as it was chosen."""
    sd = posterior.prior_precision.rsqrt()  # type: ignore[attr-defined]
    return {name: float(sd[at].mean()) for name, at in posterior.model.blocks.items()}


def _labels(posterior: RewardPosterior, answers: int | None) -> Description:
    """What the posterior was fitted to; of rankings also how many choices or, where that is known, answers."""
    pool, preferences = posterior.pool, posterior.preferences
    across = pool.group[preferences.first] != pool.group[preferences.second]
    intercepts = posterior.model.intercepts
    counts: Description = {"comparisons": len(preferences)}
    if preferences.choice is not None:
        counts |= {"choices": len(np.unique(preferences.choice))}
        counts |= {} if answers is None else {"answers": answers}
    return counts | {
        "across_prompts": int(across.sum()),
        "prompt_intercepts": 0 if intercepts is None else len(intercepts),
        "responses": len(pool),
        "prompts": pool.n_prompts,
    }
