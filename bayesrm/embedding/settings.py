"""What an embedding depends on besides the text: kept in the card of a pool, so that new texts get the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from bayesrm.data.covariates import SURFACE
from bayesrm.errors import InvalidInputError
from bayesrm.utils.checked import checked
from bayesrm.utils.wording import told

ALL, LAST, RECOMMENDED = "all", "last", "recommended"
POOLINGS = ("last", "mean", "first")
TEMPLATES = ("chat", "plain", "pair")
PADDING_SIDES = ("right", "left")
DTYPES = ("float32", "bfloat16", "float16")

_CHOICES = {"template": TEMPLATES, "padding_side": PADDING_SIDES, "dtype": DTYPES}


@checked
@dataclass(frozen=True)
class EmbeddingSettings:
    """How a text becomes a vector. What is None is chosen from the model's own files.

    Parameters
    ----------
    model
        Name on the hub, or a folder that ``save_pretrained`` wrote.
    revision
        Branch, tag or commit on the hub.
    pooling
        ``last``: the last token; ``mean``: the mean over tokens; ``first``: the first token ([CLS]); several with
        commas between. None: what a sentence encoder's own files say, else ``last`` for decoders and ``mean`` for
        encoders.
    layer
        Hidden layer: -1 the last one, 0 the input embeddings.
    template
        ``chat``: the tokenizer's chat template; ``plain``: prompt, an empty line, response; ``pair``: the tokenizer's
        own form for two texts. None: ``chat`` where the tokenizer has a template, else ``plain``.
    max_tokens
        Window; None: the model's.
    padding_side
        Where shorter texts of a batch are filled up. It makes no difference to the embedding but for rounding.
    dtype
        What the model computes in: float32, bfloat16 or float16. None: float32 on a CPU, else bfloat16.
    batch_tokens
        Maximum number of tokens in a batch, padding included; a longer text is a batch of its own. None: 4,096 on a
        CPU, 65,536 elsewhere.
    layers
        Several hidden layers, each a block of the embedding: numbers with commas between, counted as ``layer`` is;
        ``all``, ``last``, or ``recommended``: see :func:`bayesrm.embedding.layers.recommended`. None: ``layer`` alone.
    covariates
        What is computed of a text beside its embedding, see :mod:`bayesrm.data.covariates`.

    Raises
    ------
    InvalidInputError
        Where a setting is none of its choices.
    """

    model: str
    revision: str | None = None
    pooling: str | None = None
    layer: int = -1
    template: str | None = None
    max_tokens: int | None = None
    padding_side: str = "right"
    dtype: str | None = None
    batch_tokens: int | None = None
    layers: str | None = None
    covariates: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise InvalidInputError(
                    f"expected {name.replace('_', ' ')} to be one of {', '.join(choices)}, got {value!r}"
                )
        if self.pooling is not None and not set(self.poolings) <= set(POOLINGS):
            raise InvalidInputError(f"expected pooling to be one of {', '.join(POOLINGS)}, got {self.pooling!r}")
        unknown = [name for name in self.covariates if name not in SURFACE]
        if unknown:
            raise InvalidInputError(f"unknown covariate {unknown[0]!r} of texts: there are {', '.join(SURFACE)}")
        object.__setattr__(self, "covariates", tuple(self.covariates))
        for name in ("max_tokens", "batch_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInputError(f"expected {name.replace('_', ' ')} of at least 1, got {value}")

    @property
    def poolings(self) -> tuple[str, ...]:
        """Each pooling that is asked for, once."""
        return tuple(dict.fromkeys(part.strip() for part in (self.pooling or "").split(",")))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"covariates": list(self.covariates)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EmbeddingSettings:
        """Of a pool's card (its entry ``embedding``); what this version does not know is ignored."""
        known = {field.name for field in fields(cls)}
        if "model" not in values:
            raise InvalidInputError(f"expected the settings of an embedding, with model, got {told(list(values))}")
        return cls(**{name: value for name, value in values.items() if name in known})
