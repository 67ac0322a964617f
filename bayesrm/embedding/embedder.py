"""Prompts and responses → vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64

from bayesrm.data.conversation import as_conversation
from bayesrm.data.covariates import surface_covariates
from bayesrm.embedding.batches import plan_batches
from bayesrm.embedding.forward import inputs_of, padding_token, run
from bayesrm.embedding.layers import LayerPlan, choose_layers
from bayesrm.embedding.loading import Loaded, default_dtype, load
from bayesrm.embedding.pooling import default_pooling
from bayesrm.embedding.sentence_head import SentenceHead, read_head
from bayesrm.embedding.settings import LAST, EmbeddingSettings
from bayesrm.embedding.tokens import Tokens, tokenise
from bayesrm.errors import InvalidInputError
from bayesrm.utils.progress import advancing

MOST_TOKENS = 65_536
"""Tokens a batch on a GPU."""
HIDDEN_BYTES = 4 * 2**30
"""For hidden layers that are held at once."""


class Embedder:
    """A model with what is done to its texts and its hidden layer.

    Parameters
    ----------
    settings
        What is None in them is chosen from the model's own files; :attr:`settings` has what was chosen.
    device
        Such as "cuda"; None: a GPU where there is one.

    Raises
    ------
    InvalidInputError
        Where the model cannot be loaded, or does not have what the settings ask for.

    Examples
    --------
    >>> embedder = Embedder(EmbeddingSettings("sentence-transformers/all-MiniLM-L6-v2"))
    >>> embedder.embed(["What is 2 + 2?"], ["Four."]).shape
    (1, 384)
    """

    def __init__(self, settings: EmbeddingSettings, device: str | None = None) -> None:
        self._loaded: Loaded = load(
            settings.model, revision=settings.revision, device=device, dtype=settings.dtype
        )
        self.settings = _chosen(settings, self._loaded)
        self._pad = padding_token(self._loaded.tokenizer)
        self.plan = self._layer_plan()
        if self.settings.padding_side == "left" and not self._loaded.is_decoder():
            raise InvalidInputError(
                "expected padding at the right, because an encoder counts positions from the left"
            )

    @property
    def model(self) -> Any:
        """The model, without any head."""
        return self._loaded.model

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self._loaded.tokenizer

    @property
    def dim(self) -> int:
        """The dimension of an embedding."""
        return max(at.stop for at in self.blocks.values())

    @property
    def blocks(self) -> dict[str, slice]:
        """The blocks of an embedding: hidden layers and their poolings, or one."""
        return self.plan.blocks

    @property
    def head(self) -> SentenceHead:
        """What a sentence encoder's files say is done after pooling its last layer."""
        return self.plan.head

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self._loaded.device)

    def digest(self) -> str:
        """Of the model's weights; two models of one name differ in it."""
        return self._loaded.digest(self.head)

    def embed(
        self, prompts: Sequence[Any], responses: Sequence[str], show_progress: bool = False
    ) -> Float[np.ndarray, "response embedding"]:
        """(response, embedding) float32: each response with its prompt; equal texts are computed once.

        Parameters
        ----------
        prompts
            A text each, or a list of messages with ``role`` and ``content``.
        responses
            A text each.
        show_progress
            Whether to show a bar with the time left, on a terminal.
        """
        if len(prompts) != len(responses):
            raise InvalidInputError(
                f"expected a prompt for each response, got {len(prompts)} prompts and {len(responses)} responses"
            )
        tokens = self.tokens(prompts, responses)
        plan = plan_batches(tokens, self.batch_tokens)
        unique = np.empty((len(plan.order), self.dim), dtype=np.float32)
        with advancing("embedding", float(tokens.lengths[plan.order].sum()), show_progress) as advance:
            for number in range(len(plan)):
                texts = plan.batch(number)
                unique[plan.starts[number] : plan.starts[number + 1]] = self.embed_batch(tokens, texts)
                advance(float(tokens.lengths[texts].sum()))
        return unique[plan.place]

    def tokens(self, prompts: Sequence[Any], responses: Sequence[str]) -> Tokens:
        """What the model will read, cut to its window."""
        assert self.settings.template is not None
        assert self.settings.max_tokens is not None
        conversations = [as_conversation(prompt) for prompt in prompts]
        return tokenise(
            self._loaded.tokenizer, self.settings.template, self.settings.max_tokens, conversations, responses
        )

    @property
    def batch_tokens(self) -> int:
        """Maximum number of tokens in a batch."""
        assert self.settings.batch_tokens is not None
        return self.settings.batch_tokens

    def embed_batch(self, tokens: Tokens, texts: Int64[np.ndarray, "text"]) -> Float[np.ndarray, "text embedding"]:
        """Embeddings of some of the texts, computed together."""
        pair = self.settings.template == "pair"
        inputs = inputs_of(self._loaded, tokens, texts, self.settings.padding_side, self._pad, pair)
        outputs = run(self._loaded, inputs, output_hidden_states=not self.plan.only_last)
        real = inputs["attention_mask"].bool()
        with torch.inference_mode():
            hidden = () if self.plan.only_last else outputs.hidden_states
            vectors = self.plan.vectors(hidden, outputs.last_hidden_state, real).cpu().numpy()
        if not np.isfinite(vectors).all():
            raise InvalidInputError(
                f"the model {self.settings.model} gives NaN or infinity in {self.settings.dtype}: "
                "compute in float32 or bfloat16"
            )
        return vectors

    def covariates(
        self, prompts: Sequence[Any], responses: Sequence[str]
    ) -> dict[str, Float[np.ndarray, "response"]]:
        """What the settings ask for of texts beside their embeddings."""
        return surface_covariates(prompts, responses, self.settings.covariates)

    def _layer_plan(self) -> LayerPlan:
        loaded, settings = self._loaded, self.settings
        assert settings.layers is not None
        last = int(loaded.config.num_hidden_layers)
        layers = choose_layers(settings.layers, last, loaded.is_decoder())
        head = read_head(loaded) if last in layers else SentenceHead()
        width = int(loaded.config.hidden_size)
        declared = default_pooling(loaded) if len(head) else ""
        head = head.to(loaded.device)
        plan = LayerPlan(layers, last, settings.poolings, width, head, declared)
        self.settings = replace(settings, layers=",".join(map(str, layers)), layer=layers[-1])
        return plan


def _chosen(settings: EmbeddingSettings, loaded: Loaded) -> EmbeddingSettings:
    """The settings with nothing left open."""
    window = loaded.window()
    if settings.max_tokens is not None and settings.max_tokens > window:
        raise InvalidInputError(
            f"expected at most the {window} tokens that {settings.model} takes, got max tokens {settings.max_tokens}"
        )
    chat = bool(getattr(loaded.tokenizer, "chat_template", None))
    if settings.template == "chat" and not chat:
        raise InvalidInputError(
            f"expected a tokenizer with a chat template, and that of {settings.model} has none: use 'plain'"
        )
    on_cpu = loaded.device.type == "cpu"
    return replace(
        settings,
        revision=getattr(loaded.model.config, "_commit_hash", None) or settings.revision,
        pooling=settings.pooling or default_pooling(loaded),
        template=settings.template or ("chat" if chat else "plain"),
        max_tokens=settings.max_tokens or window,
        dtype=settings.dtype or default_dtype(loaded.device),
        layers=settings.layers or str(settings.layer),
        batch_tokens=settings.batch_tokens or (4096 if on_cpu else _fitting_tokens(settings, loaded)),
    )


def _fitting_tokens(settings: EmbeddingSettings, loaded: Loaded) -> int:
    """Tokens a batch on a GPU: fewer where the hidden layers of all of them are held at once."""
    if settings.layers in (None, LAST) and settings.layer == -1:
        return MOST_TOKENS
    config = loaded.config
    bytes_of_one = (int(config.num_hidden_layers) + 1) * int(config.hidden_size) * loaded.model.dtype.itemsize
    return max(1024, min(MOST_TOKENS, HIDDEN_BYTES // bytes_of_one))
