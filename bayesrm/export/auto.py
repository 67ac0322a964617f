"""Reward models that ``AutoModelForSequenceClassification`` of transformers loads, once this module is imported.

    import bayesrm.export.auto
    model = AutoModelForSequenceClassification.from_pretrained(path)

No code comes with the files, so nothing has to be trusted. Where a reward is linear in the last token of a decoder not
even this module is needed, see :mod:`bayesrm.export.sequence_classifier`.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from bayesrm.embedding.layers import LayerPlan
from bayesrm.embedding.sentence_head import SentenceHead
from bayesrm.export.files import Description, Tensors, build_function
from bayesrm.export.reward_function import RewardFunction

MODEL_TYPE = "bayesrm-reward"
DOT = "__"
"""In place of dots in the names of buffers."""


class BayesRMConfig(PretrainedConfig):
    """Of a base model with a Bayesian reward on its embedding.

    Parameters
    ----------
    base
        The configuration of the base model, with its ``model_type``.
    reward
        The configuration of the reward model, as JSON.
    shapes
        Name → shape and dtype of its tensors.
    layers, poolings
        How the embedding is put together from hidden layers.
    head, declared
        What is done after pooling the last layer so, see :mod:`bayesrm.embedding.sentence_head`.
    kappa
        The logit is mean − κ·sd.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        base: dict[str, Any] | None = None,
        reward: str = "",
        shapes: dict[str, list[Any]] | None = None,
        layers: list[int] | None = None,
        poolings: list[str] | None = None,
        head: list[dict[str, Any]] | None = None,
        declared: str = "",
        kappa: float = 0.0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("num_labels", 1)
        super().__init__(**kwargs)
        self.base, self.reward, self.shapes = base or {}, reward, shapes or {}
        # Files of before there were several layers have "pooling" and "layer".
        self.layers, self.poolings = (
            layers or [kwargs.get("layer", -1)],
            poolings or [kwargs.get("pooling", "last")],
        )
        self.head, self.declared, self.kappa = head or [], declared, kappa
        if self.base and getattr(self, "pad_token_id", None) is None:
            self.pad_token_id = self.base.get("pad_token_id")


class RewardHead(nn.Module):
    """Embeddings → mean − κ·sd of the reward, in float32; its numbers are buffers, which no optimizer touches."""

    def __init__(self, described: Description, shapes: dict[str, list[Any]], kappa: float) -> None:
        super().__init__()
        self._described, self._shapes, self.kappa = described, shapes, kappa
        for name, (shape, dtype) in shapes.items():
            self.register_buffer(name.replace(".", DOT), torch.zeros(shape, dtype=getattr(torch, dtype)))
        self._function: RewardFunction | None = None

    def forward(self, embeddings: Float[Tensor, "*text embedding"]) -> Float[Tensor, "*text 1"]:
        """One number an embedding; without gradients."""
        flat = embeddings.detach().reshape(-1, embeddings.shape[-1]).float()
        with torch.no_grad():
            moments = self._current(flat.device).moments_of(flat)
            scores = moments.mean - self.kappa * moments.factor.square().sum(dim=1).sqrt()
        return scores.float().reshape(*embeddings.shape[:-1], 1)

    def _current(self, device: torch.device) -> RewardFunction:
        """The reward function of the buffers, which are put in place after this module is made."""
        if self._function is None or self._function.device != device:
            tensors = {
                name: self.get_buffer(name.replace(".", DOT)).to(device, getattr(torch, dtype))
                for name, (_, dtype) in self._shapes.items()
            }
            self._function = build_function(self._described, tensors)
        return self._function


class BayesRMForSequenceClassification(PreTrainedModel):
    """A base model and a Bayesian reward on its embedding: one logit a text."""

    config_class = BayesRMConfig
    base_model_prefix = "model"
    _keep_in_fp32_modules = ["score"]  # noqa: RUF012 - the interface of transformers
    _keep_in_fp32_modules_strict = ["score"]  # noqa: RUF012

    def __init__(self, config: BayesRMConfig) -> None:
        super().__init__(config)
        self.num_labels = 1
        base = dict(config.base)
        self.model = AutoModel.from_config(AutoConfig.for_model(base.pop("model_type"), **base))
        self.sentence_head = SentenceHead(config.head)
        self.score = RewardHead(json.loads(config.reward), config.shapes, config.kappa)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """All weights come from the files."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Logits (text, 1), as any sequence classifier."""
        assert input_ids is not None
        if attention_mask is None:
            pad = self.config.pad_token_id
            attention_mask = torch.ones_like(input_ids) if pad is None else (input_ids != pad).long()
        config = self.config
        text = self.model.config.get_text_config()
        last = int(text.num_hidden_layers)
        layers = tuple(layer % (last + 1) for layer in config.layers)
        plan = LayerPlan(
            layers, last, tuple(config.poolings), int(text.hidden_size), self.sentence_head, config.declared
        )
        outputs = self.model(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=not plan.only_last, **kwargs
        )
        hidden = () if plan.only_last else outputs.hidden_states
        logits = self.score(plan.vectors(hidden, outputs.last_hidden_state, attention_mask.bool()))
        return SequenceClassifierOutput(logits=logits) if return_dict in (None, True) else (logits,)


def shapes_of(tensors: Tensors) -> dict[str, list[Any]]:
    """Name → shape and dtype."""
    return {name: [list(value.shape), str(value.dtype).removeprefix("torch.")] for name, value in tensors.items()}


AutoConfig.register(MODEL_TYPE, BayesRMConfig, exist_ok=True)
AutoModelForSequenceClassification.register(BayesRMConfig, BayesRMForSequenceClassification, exist_ok=True)
