"""The files of a saved reward model: ``reward_model.json``, ``reward_model.safetensors`` and a card to read.

Everything is in the JSON or a plain tensor, nothing is pickled, and the JSON has the digest of the tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.errors import InvalidInputError
from bayesrm.export.architecture import build_encoder, load_encoder
from bayesrm.export.reward_function import FeatureReward, NetworkReward, RewardFunction
from bayesrm.models.covariates import CovariateFeatures
from bayesrm.posteriors.networks import is_shared
from bayesrm.utils.factors import SpannedFactor
from bayesrm.utils.files import read_json, sha256
from bayesrm.utils.terminal import printable
from bayesrm.utils.wording import counted

CONFIGURATION, TENSORS, CARD = "reward_model.json", "reward_model.safetensors", "README.md"
FORMAT, FORMAT_VERSION = "bayesrm reward model", 1
LIMITS = ("lower", "upper")
"""Tensors of an encoder and of covariates between which inputs are clipped, see :mod:`bayesrm.models.robust`."""
Description = dict[str, Any]
Tensors = dict[str, Tensor]


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
    for name in ("versions", "embedding"):
        if not isinstance(described.get(name) or {}, dict):
            raise InvalidInputError(f"expected an object under {name} in {file}, got {described[name]!r:.40}")
    version = described.get("format_version")
    if version != FORMAT_VERSION:
        written = (described.get("versions") or {}).get("bayesrm", "another version")
        raise InvalidInputError(
            f"expected format {FORMAT_VERSION} in {file}, got {version}, written by bayesrm {written}: load it with "
            "that version, or export it again"
        )
    return described


def counted_labels(labels: Description, noun: str = "label") -> str:
    """What a model was fitted to, in words; a ranking is one answer, or the choices that it is, and not its rows."""
    for key, of_rankings in (("answers", "answer"), ("choices", "choice")):
        if key in labels:
            return counted(labels[key], of_rankings)
    return counted(labels["comparisons"], noun)


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
        tensors = load_file(file)
    except SafetensorError as error:
        raise InvalidInputError(f"{file} is damaged and cannot be read: {error}") from error
    require_numbers(tensors, str(file))
    return tensors


def require_numbers(tensors: Mapping[str, Tensor], where: str) -> None:
    """InvalidInputError where a weight is NaN or infinite; limits of what is clipped may be infinite."""
    for name, value in tensors.items():
        limit = name.rpartition(".")[-1] in LIMITS
        if value.is_floating_point() and bool((value.isnan() if limit else ~value.isfinite()).any()):
            raise InvalidInputError(
                f"expected numbers in {where}, got NaN or infinite ones in {printable(name)}: such a model says "
                "nothing of any text"
            )


def build_function(described: Description, tensors: Tensors, own: nn.Module | None = None) -> RewardFunction:
    """The reward function that was saved; ``own`` is the user's encoder, where it is one."""
    encoder = build_encoder(described["encoder"], own)
    state = _under("encoder.", tensors)
    networks = described["kind"] == "networks"
    covariates = build_covariates(described.get("covariates"), _under("covariates.", tensors))
    load_encoder(encoder, described["encoder"]["features"], state, without_body=networks)
    if networks:
        beta = tensors["reward.beta"]
        stacked = {
            name: value.expand(len(beta), *value.shape[1:]) for name, value in _under("network.", tensors).items()
        }
        return NetworkReward(encoder, covariates, stacked, beta, tensors["reward.centre"])
    return FeatureReward(
        encoder,
        covariates,
        tensors["reward.location"],
        read_covariance(tensors),
        tensors["reward.centre"],
        tensors.get("reward.draws"),
    )


def covariance_tensors(covariance: Float[Tensor, "feature rank"] | SpannedFactor) -> Tensors:
    """What is written of the covariance of β: of many more features than labels no matrix of all of them."""
    if isinstance(covariance, SpannedFactor):
        return {
            "reward.root_prior": covariance.root_prior,
            "reward.basis": covariance.basis,
            "reward.inner": covariance.inner,
        }
    return {"reward.covariance_factor": covariance}


def read_covariance(tensors: Tensors) -> Float[Tensor, "feature rank"] | SpannedFactor:
    """What :func:`covariance_tensors` wrote."""
    if "reward.root_prior" in tensors:
        return SpannedFactor(*(tensors[f"reward.{name}"] for name in ("root_prior", "basis", "inner")))
    return tensors["reward.covariance_factor"]


def describe_covariates(covariates: CovariateFeatures) -> Description | None:
    """What covariates a model reads; their statistics are tensors. None where it reads none."""
    if not len(covariates):
        return None
    return {"names": list(covariates.names), "apart": covariates.apart, "prior_mean": covariates.prior_mean}


def build_covariates(described: Description | None, state: Tensors) -> CovariateFeatures:
    """The covariates that were described."""
    if described is None:
        return CovariateFeatures(())
    covariates = CovariateFeatures(described["names"], described["prior_mean"], described["apart"])
    covariates.load_state_dict(state)
    return covariates


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
    encoder, covariates = function.encoder.to(device), function.covariates.to(device)
    if isinstance(function, NetworkReward):
        state = {
            name: value[:1].to(device).expand_as(value) if is_shared(value) else value.to(device)
            for name, value in function.state.items()
        }
        return NetworkReward(encoder, covariates, state, function.beta.to(device), function.centre.to(device))
    assert isinstance(function, FeatureReward)
    return replace(
        function,
        encoder=encoder,
        covariates=covariates,
        location=function.location.to(device),
        covariance=function.covariance.to(device),
        centre=function.centre.to(device),
        draws=None if function.draws is None else function.draws.to(device),
    )


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
