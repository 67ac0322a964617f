"""One batch through a model: padding, mask and positions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int32, Int64
from numpy import ndarray
from torch import Tensor

from bayesrm.embedding.loading import Loaded
from bayesrm.embedding.tokens import Tokens
from bayesrm.errors import BayesRMError, InvalidInputError


def inputs_of(
    loaded: Loaded, tokens: Tokens, texts: Int64[ndarray, "text"], padding_side: str, pad: int, pair: bool
) -> dict[str, Tensor]:
    """What a model is called with for some texts."""
    ids, real = _padded([tokens[int(text)] for text in texts], padding_side, pad)
    takes = inspect.signature(loaded.model.forward).parameters
    inputs = {"input_ids": ids, "attention_mask": real.long()}
    if padding_side == "left" and "position_ids" in takes:
        inputs["position_ids"] = (real.cumsum(1) - 1).clamp(min=0)
    if pair and "token_type_ids" in takes:
        split = torch.from_numpy(tokens.split[texts])
        inputs["token_type_ids"] = ((real.cumsum(1) > split[:, None]) & real).long()
    return {name: tensor.to(loaded.device) for name, tensor in inputs.items()}


def run(loaded: Loaded, inputs: dict[str, Tensor], **options: Any) -> Any:
    """The model's output, without gradients.

    Raises
    ------
    InvalidInputError
        Where the device has too little memory.
    """
    try:
        with torch.inference_mode():
            return loaded.model(**inputs, **options)
    except torch.OutOfMemoryError as error:
        count, longest = inputs["input_ids"].shape
        raise InvalidInputError(
            f"{loaded.device} has too little memory for {count} texts of {longest} tokens: lower batch tokens or "
            "max tokens"
        ) from error


def padding_token(tokenizer: Any) -> int:
    """A token to fill up with; which one makes no difference, as it is masked."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0


def _padded(
    rows: Sequence[Int32[ndarray, "_"]], side: str, pad: int
) -> tuple[Int64[Tensor, "text token"], Bool[Tensor, "text token"]]:
    longest = max(len(row) for row in rows)
    if longest == 0:
        raise BayesRMError("a text has no tokens at all")
    ids = torch.full((len(rows), longest), pad, dtype=torch.int64)
    real = torch.zeros((len(rows), longest), dtype=torch.bool)
    for at, row in enumerate(rows):
        where = slice(0, len(row)) if side == "right" else slice(longest - len(row), longest)
        ids[at, where] = torch.from_numpy(row.astype("int64"))
        real[at, where] = True
    return ids, real
