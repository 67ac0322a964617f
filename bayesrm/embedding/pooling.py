"""From a vector a token to a vector a text."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bayesrm.embedding.loading import Loaded
from bayesrm.embedding.sentence_head import declared_pooling
from bayesrm.errors import InvalidInputError

_SENTENCE = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
    "mean": "mean",
    "cls": "first",
    "lasttoken": "last",
}
"""What sentence encoders say in their files, in the older form and in the newer, → what it is called here."""


def pool_tokens(
    hidden: Float[Tensor, "text token embedding"], real: Bool[Tensor, "text token"], pooling: str
) -> Float[Tensor, "text embedding"]:
    """One vector a text, in float32, wherever the padding is.

    Parameters
    ----------
    hidden
        A vector a token.
    real
        Which tokens are no padding.
    pooling
        ``last``, ``mean`` or ``first``.
    """
    if pooling == "mean":
        weight = real.unsqueeze(-1).to(torch.float32)
        return (hidden.float() * weight).sum(1) / weight.sum(1)
    numbers = torch.arange(real.shape[1], device=real.device)
    if pooling == "last":
        at = torch.where(real, numbers, -1).amax(1)
    else:
        at = torch.where(real, numbers, real.shape[1]).amin(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), at].float()


def default_pooling(loaded: Loaded) -> str:
    """What a sentence encoder's own files say; else the last token of a decoder, the mean over an encoder's.

    Raises
    ------
    InvalidInputError
        Where the files ask for a pooling that there is not.
    """
    asked = declared_pooling(loaded)
    if asked is None:
        return "last" if loaded.is_decoder() else "mean"
    if len(asked) != 1 or asked[0] not in _SENTENCE:
        raise InvalidInputError(
            f"expected a sentence encoder that takes the mean, the first or the last token, got "
            f"{', '.join(asked) or 'nothing'}: choose a pooling"
        )
    return _SENTENCE[asked[0]]
