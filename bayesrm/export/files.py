"""The files of a saved reward model: ``reward_model.json``, ``reward_model.safetensors`` and a card to read.

Everything is in the JSON or a plain tensor, nothing is pickled, and the JSON has the digest of the tensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bayesrm.errors import InvalidInputError
from bayesrm.export.architecture import build_encoder, describe_encoder, load_encoder
from bayesrm.export.card import write_card
from bayesrm.export.reward_function import FeatureReward, NetworkReward, RewardFunction, reward_function
from bayesrm.export.saved_likelihood import describe_likelihood
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.storage import read_json, replacing_directory, sha256, write_json
from bayesrm.versions import versions

CONFIGURATION, TENSORS, CARD = "reward_model.json", "reward_model.safetensors", "README.md"
FORMAT, FORMAT_VERSION = "bayesrm reward model", 1
Description = dict[str, Any]
Tensors = dict[str, Tensor]


def save_reward_model(
    path: str | os.PathLike[str],
    posterior: RewardPosterior,
    embedding: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> None:
    """Write what a posterior knows of rewards, for others to load; whole or not at all.

    Parameters
    ----------
    path
        The directory to make; it must not exist, or be empty.
    posterior
        Any that ``fit`` returned. Its pool and labels are not written; of prompt intercepts nothing is, see
        :mod:`bayesrm.export.reward_function`.
    embedding
        How texts are embedded, such as the entry ``embedding`` in the card of the pool that ``bayesrm embed`` made.
        Without it the model scores embeddings only.
    name
        What to call it; default: the name of the directory.

    Raises
    ------
    InvalidInputError
        Where the directory is not empty.
    CapabilityError
        Where the posterior is of another kind than bayesrm's own.
    """
    path = Path(path)
    with replacing_directory(path, "the reward model") as directory:
        described = write_files(directory, posterior, embedding)
        write_card(directory / CARD, name or path.resolve().name, described)


def write_files(directory: Path, posterior: RewardPosterior, embedding: Mapping[str, Any] | None) -> Description:
    """Write tensors and configuration; returns the latter."""
    function = reward_function(posterior)
    likelihood, values = describe_likelihood(posterior)
    kind, tensors = _tensors(function)
    tensors |= {f"likelihood.{key}": value for key, value in values.items()}
    _save(directory / TENSORS, tensors)
    described = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "kind": kind,
        "inference": posterior.inference,
        "model": posterior.model.describe(),
        "encoder": describe_encoder(posterior.model.encoder),
        "prior_scale": _prior_scales(posterior),
        "likelihood": likelihood,
        "embedding": None if embedding is None else dict(embedding),
        "labels": _labels(posterior),
        "files": {TENSORS: {"bytes": (directory / TENSORS).stat().st_size, "sha256": sha256(directory / TENSORS)}},
    }
    write_json(directory / CONFIGURATION, described)
    return described


def read_description(path: Path) -> Description:
    """The configuration of a saved reward model, checked to be one that this version reads.

    Raises
    ------
    InvalidInputError
        Naming the file, and what to do.
    """
    file = path / CONFIGURATION
    if not file.is_file():
        what = "it does not exist" if not path.exists() else f"it has no {CONFIGURATION}"
        raise InvalidInputError(
            f"expected a reward model in {path}, and {what}: write one with `bayesrm export` or save_reward_model"
        )
    described = read_json(file)
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise InvalidInputError(
            f"{file} is not the configuration of a reward model of bayesrm: is it another file?"
        )
    version = described.get("format_version")
    if version != FORMAT_VERSION:
        written = described.get("versions", {}).get("bayesrm", "another version")
        raise InvalidInputError(
            f"expected format {FORMAT_VERSION} in {file}, got {version}, written by bayesrm {written}: load it with "
            "that version, or export it again"
        )
    return described


def read_tensors(path: Path, described: Description) -> Tensors:
    """The tensors of a saved reward model, checked against the digest in its configuration."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = path / TENSORS
    with damaged(path / CONFIGURATION):
        expected = described["files"][TENSORS]["sha256"]
    if not file.is_file():
        raise InvalidInputError(
            f"expected {file} beside {CONFIGURATION}, and it is not there: copy the whole folder"
        )
    if sha256(file) != expected:
        raise InvalidInputError(
            f"{file} is not the file that {CONFIGURATION} was written for (its SHA-256 differs): copy the folder "
            "again, or export it again"
        )
    try:
        return load_file(file)
    except SafetensorError as error:
        raise InvalidInputError(f"{file} is damaged and cannot be read: {error}") from error


def build_function(described: Description, tensors: Tensors, own: nn.Module | None = None) -> RewardFunction:
    """The reward function that was saved; ``own`` is the user's encoder, where it is one."""
    encoder = build_encoder(described["encoder"], own)
    state = _under("encoder.", tensors)
    networks = described["kind"] == "networks"
    load_encoder(encoder, described["encoder"]["features"], state, without_body=networks)
    if networks:
        beta = tensors["reward.beta"]
        stacked = {
            name: value.expand(len(beta), *value.shape[1:]) for name, value in _under("network.", tensors).items()
        }
        return NetworkReward(encoder, stacked, beta, tensors["reward.centre"])
    return FeatureReward(
        encoder,
        tensors["reward.location"],
        tensors["reward.covariance_factor"],
        tensors["reward.centre"],
        tensors.get("reward.draws"),
    )


@contextmanager
def damaged(file: Path) -> Iterator[None]:
    """What is missing in a file, or of another kind than it should be, as one sentence with its name."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInputError(
            f"{file} is damaged or incomplete ({type(error).__name__}: {reason}): copy the folder again, or export it "
            "again"
        ) from error


def to_device(function: RewardFunction, device: torch.device) -> RewardFunction:
    """The same function, computed elsewhere."""
    encoder = function.encoder.to(device)
    if isinstance(function, NetworkReward):
        state = {name: value.to(device) for name, value in function.state.items()}
        return NetworkReward(encoder, state, function.beta.to(device), function.centre.to(device))
    assert isinstance(function, FeatureReward)
    return replace(
        function,
        encoder=encoder,
        location=function.location.to(device),
        covariance_factor=function.covariance_factor.to(device),
        centre=function.centre.to(device),
        draws=None if function.draws is None else function.draws.to(device),
    )


def _tensors(function: RewardFunction) -> tuple[str, Tensors]:
    """The kind of a reward function, and all its numbers."""
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
        "reward.covariance_factor": function.covariance_factor,
        "reward.centre": function.centre,
    }
    if function.draws is not None:
        return "draws", tensors | {"reward.draws": function.draws}
    return ("gaussian" if function.covariance_factor.shape[1] else "point"), tensors


def _once(stacked: Tensor) -> Tensor:
    """Weights that all draws share are written once."""
    return stacked[:1] if stacked.stride(0) == 0 else stacked


def _save(path: Path, tensors: Tensors) -> None:
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file(plain, path, metadata={"format": "pt"})


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _prior_scales(posterior: RewardPosterior) -> dict[str, float]:
    """The prior standard deviation of a weight in each block of features, as it was chosen."""
    sd = posterior.prior_precision.rsqrt()  # type: ignore[attr-defined]
    return {name: float(sd[at].mean()) for name, at in posterior.model.blocks.items()}


def _labels(posterior: RewardPosterior) -> Description:
    """What the posterior was fitted to."""
    pool, preferences = posterior.pool, posterior.preferences
    across = pool.group[preferences.first] != pool.group[preferences.second]
    intercepts = posterior.model.intercepts
    return {
        "comparisons": len(preferences),
        "across_prompts": int(across.sum()),
        "prompt_intercepts": 0 if intercepts is None else len(intercepts),
        "responses": len(pool),
        "prompts": pool.n_prompts,
    }


def format_json(described: Description) -> str:
    """As it stands in the file."""
    return json.dumps(described, indent=2, sort_keys=True, ensure_ascii=False)
