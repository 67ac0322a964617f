r"""Base model and reward together, as a sequence classifier with one label that transformers loads.

A reward that is linear in the last token of a decoder's last layer is written as what transformers has for that
decoder: with m(ψ) = wᵀψ + c its ``score`` is one linear layer w without bias. The constant c is left out, as rewards
are known up to one. Any other is written for :mod:`bayesrm.export.auto`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm.embedding import Embedder
from bayesrm.embedding.loading import quiet
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.export.files import Description, Tensors
from bayesrm.export.reward_function import FeatureReward, NetworkReward, RewardFunction
from bayesrm.models.encoders.layers import BlockDirections
from bayesrm.models.spectrum import BlockLeading, Leading

SAMPLE = [
    ("What is the capital of France?", "Paris."),
    ("What is the capital of France?", "I do not know, and I would rather talk about trains for a while."),
    ("Write a haiku about rain.", "Rain on the window\nand a cat that does not care\nwhat the weather does."),
]
"""Texts that both ways are tried on before anything is left on disk."""
TOLERANCE = 1e-3
"""Relative to the spread of the scores of the sample: what rounding makes of it in single precision is far less."""


def write_classifier(
    directory: Path, function: RewardFunction, embedder: Embedder, described: Description, tensors: Tensors
) -> Description:
    """Write ``config.json``, ``model.safetensors`` and the tokenizer beside a saved reward model.

    Returns
    -------
    dict
        How it was written: ``kind`` "native" or "registered", and ``offset``, what has to be added to its logits to
        have the mean reward.

    Raises
    ------
    CapabilityError
        Where rewards depend on covariates; where the base model is half of an encoder-decoder, which has no
        configuration of its own.
    InvalidInputError
        Where the classifier does not give the scores that the reward model gives.
    """
    if len(function.covariates):
        raise CapabilityError(
            f"the rewards depend on the covariates {', '.join(function.covariates.names)} of a text, and a sequence "
            "classifier sees its tokens alone: export without the base model and load with brm.load_reward_model, or "
            "fit without them. In Python that is RewardModel(pool, covariates=()); for a campaign, bayesrm campaign "
            "init NEW --pool POOL --covariates none, to which bayesrm campaign tell gives the file of bayesrm campaign "
            "labels OLD --to csv, and export that"
        )
    weights, offset = linear_weights(function), 0.0
    with quiet():
        native = weights is not None and _write_native(directory, weights, embedder)
        if native:
            offset = float(function.moments(np.zeros((1, embedder.dim), dtype=np.float32)).mean)
        else:
            _write_registered(directory, embedder, described, tensors)
        _require_same_scores(directory, function, embedder, offset)
    return {"kind": "native" if native else "registered", "offset": offset}


def linear_weights(function: RewardFunction) -> Float[Tensor, "embedding"] | None:
    """w with m(ψ) = wᵀψ + c, float64; None where the mean reward is not linear in the embedding."""
    clips = function.encoder.standardize is not None and function.encoder.standardize.clips
    if clips or not all(
        isinstance(
            module,
            BlockDirections
            | Leading
            | BlockLeading
            | nn.ModuleList
            | nn.Linear
            | nn.Identity
            | nn.Flatten
            | nn.Sequential,
        )
        for module in function.encoder.body.modules()
    ):
        return None
    start = torch.zeros((1, function.encoder.dim), device=function.device, requires_grad=True)
    if isinstance(function, FeatureReward):
        reward = function.encoder(start).double() @ function.location
    else:
        assert isinstance(function, NetworkReward)
        reward = function.rewards(start).double().mean(dim=1)
    (gradient,) = torch.autograd.grad(reward.sum(), start)
    return gradient[0].double().cpu()


def _write_native(directory: Path, weights: Float[Tensor, "embedding"], embedder: Embedder) -> bool:
    """As the decoder's own sequence classifier, if there is one that looks at the last token."""
    from transformers import AutoModelForSequenceClassification

    settings = embedder.settings
    pad = _padding(embedder.tokenizer)
    if settings.pooling != "last" or not embedder.plan.only_last or len(embedder.head) or pad is None:
        return False
    config = type(embedder.model.config).from_dict(embedder.model.config.to_dict())
    config.num_labels, config.pad_token_id = 1, embedder.tokenizer.convert_tokens_to_ids(pad)
    if type(config) not in AutoModelForSequenceClassification._model_mapping:
        return False
    with torch.device("meta"):
        classifier = AutoModelForSequenceClassification.from_config(config)
    score: Any = getattr(classifier, "score", None)
    prefix = classifier.base_model_prefix
    plain = isinstance(score, nn.Linear) and getattr(score, "bias", None) is None and score.out_features == 1
    if not plain or type(getattr(classifier, prefix)) is not type(embedder.model):
        return False
    setattr(classifier, prefix, embedder.model)
    classifier.score = nn.Linear(len(weights), 1, bias=False, dtype=embedder.model.dtype)
    with torch.no_grad():
        classifier.score.weight.copy_(weights[None])
    classifier.save_pretrained(directory)
    _save_tokenizer(directory, embedder, pad)
    return True


def _write_registered(directory: Path, embedder: Embedder, described: Description, tensors: Tensors) -> None:
    from bayesrm.export.auto import DOT, BayesRMConfig, BayesRMForSequenceClassification, shapes_of

    settings, base = embedder.settings, embedder.model
    if getattr(base.config, "is_encoder_decoder", False):
        raise CapabilityError(
            f"{settings.model} is half of an encoder-decoder, which has no configuration of its own: export without "
            "the base model, and load with brm.load_reward_model"
        )
    config = BayesRMConfig(
        base=base.config.to_dict(),
        reward=json.dumps({key: described[key] for key in ("kind", "encoder")}),
        shapes=shapes_of(tensors),
        layers=list(embedder.plan.layers),
        poolings=list(embedder.plan.poolings),
        head=embedder.head.steps,
        declared=embedder.plan.declared,
        pad_token_id=embedder.tokenizer.pad_token_id,
    )
    with torch.device("meta"):
        classifier = BayesRMForSequenceClassification(config)
    classifier.model, classifier.sentence_head = base, embedder.head
    for name, value in tensors.items():
        classifier.score.register_buffer(name.replace(".", DOT), value.detach().cpu().clone())
    classifier.save_pretrained(directory)
    _save_tokenizer(directory, embedder, embedder.tokenizer.pad_token)


def _padding(tokenizer: Any) -> str | None:
    """A token to pad with that is not also the end of a text: classifiers take the last token that is another."""
    for token in (tokenizer.pad_token, tokenizer.bos_token, tokenizer.unk_token):
        if token is not None and token != tokenizer.eos_token:
            return str(token)
    return None


def _save_tokenizer(directory: Path, embedder: Embedder, pad: str | None) -> None:
    """With padding at the right, where no model counts positions from it."""
    from transformers import AutoTokenizer

    embedder.tokenizer.save_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.padding_side = "right"
    tokenizer.pad_token = pad or tokenizer.pad_token or tokenizer.eos_token
    tokenizer.save_pretrained(directory)


def _require_same_scores(directory: Path, function: RewardFunction, embedder: Embedder, offset: float) -> None:
    """The classifier as anybody loads it, on a few texts."""
    from transformers import AutoModelForSequenceClassification

    prompts, responses = [prompt for prompt, _ in SAMPLE], [response for _, response in SAMPLE]
    expected = function.moments(embedder.embed(prompts, responses)).mean.cpu().numpy()
    classifier = AutoModelForSequenceClassification.from_pretrained(directory).eval()
    tokens = embedder.tokens(prompts, responses)
    found = np.empty(len(expected))
    with torch.inference_mode():
        for k in range(len(expected)):
            ids = torch.from_numpy(np.asarray(tokens[k], dtype=np.int64))[None]
            found[k] = float(classifier(input_ids=ids, attention_mask=torch.ones_like(ids)).logits) + offset
    if np.abs(found - expected).max() > TOLERANCE * max(1.0, float(np.ptp(expected))):
        raise InvalidInputError(
            f"the sequence classifier of {embedder.settings.model} scores {found.round(4).tolist()} where the reward "
            f"model scores {expected.round(4).tolist()}: export without it, and report this base model"
        )
