"""What an encoder F_θ is: a preparation of embeddings, and a body that turns them into features.

(response, embedding) → (response, feature).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.models.spectrum import DEFAULT_POWER, BlockLeading, BlockSpectrum, Leading, WithinPromptSpectrum
from bayesrm.models.standardize import Standardize
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.columns import as_blocks

INPUTS = ("raw", "standardized", "within-prompt")

Evidence: TypeAlias = "Callable[[Encoder], float]"
"""Log evidence of labels in nats, for a reward that is linear in an encoder's features as they are now."""


class Encoder(nn.Module):
    """Preparation of the embeddings followed by a body.

    Parameters
    ----------
    dim : int
        The dimension p of an embedding.
    body : torch.nn.Module
        A module (response, embedding) → (response, feature) on prepared embeddings.
    inputs : str, default "standardized"
        "raw" embeddings, for a body that was trained on them; "standardized"; or "within-prompt": standardised,
        then scaled by their spectrum within prompts, see :mod:`bayesrm.models.spectrum`.
    input_blocks : mapping of str to slice, optional
        Blocks of the embedding, name → columns, such as hidden layers: standardisation and spectrum are of each block.
        Default: one block. An encoder that takes the argument ``input_blocks`` gets those of the pool.

    Attributes
    ----------
    name : str
        What the encoder is asked for by, ``RewardModel(dim, encoder=name)``. Only subclasses have one.
    default_inputs : str, default "standardized"
        The ``inputs`` of ``RewardModel(..., inputs=None)``.
    own_spectrum : bool, default False
        Whether its body scales embeddings by their spectrum itself, so that no ``spectrum_power`` can be asked for.
    learns_features : bool
        Whether labels decide what its features are: by default, whether its body has parameters.
    blocks : dict of str to slice
        Features in named blocks with a prior scale each, chosen from the labels. A block called "linear" beside
        others is fitted first, by evidence.
    linear_blocks : tuple of str
        Names of those blocks that are linear beside those of a network.
    settings : dict
        What the encoder was made with besides ``dim`` and ``inputs``, as values that JSON takes.

    See Also
    --------
    bayesrm.RewardModel : Takes an encoder by name, or as an object with settings of its own.

    Notes
    -----
    A new encoder is a subclass with a ``name`` whose arguments after ``dim`` have defaults; ``inputs`` is one of them,
    and ``hidden`` gets that of ``RewardModel``, where the encoder takes it. What it learns from the pool's embeddings,
    it learns in :meth:`fit_pool`; what it learns from labels without gradient steps, in :meth:`fit_labels`; parameters
    of the body that require gradients are trained. All of it is kept in parameters and buffers, so that an exported
    reward model has it: the encoder is made again from ``settings``, and its buffers are put back.

    Examples
    --------
    Random Fourier features, whose length scale the evidence chooses:

    >>> import torch
    >>> from torch import nn
    >>> import bayesrm as brm
    >>> from bayesrm import rng
    >>> from bayesrm.models.encoders import Encoder
    >>> class Cosines(nn.Module):
    ...     def __init__(self, dim, count):
    ...         super().__init__()
    ...         draws = rng.stream(0, "cosines")
    ...         self.register_buffer("direction", torch.tensor(draws.normal(size=(dim, count))).float())
    ...         self.register_buffer("shift", torch.tensor(draws.uniform(0, 6.2832, count)).float())
    ...         self.register_buffer("length", torch.tensor(float(dim) ** 0.5))
    ...     def forward(self, x):
    ...         return torch.cos(x @ self.direction / self.length + self.shift)
    >>> class Fourier(Encoder):
    ...     '''Random Fourier features of a Gaussian kernel.'''
    ...     name = "fourier"
    ...     def __init__(self, dim, count=256, inputs="standardized"):
    ...         super().__init__(dim, Cosines(dim, count), inputs)
    ...         self.count = count
    ...     @property
    ...     def settings(self):
    ...         return {"count": self.count}
    ...     def fit_labels(self, pool, preferences, evidence):
    ...         lengths = [share * self.dim**0.5 for share in (0.5, 1.0, 2.0)]
    ...         found = {}
    ...         for length in lengths:
    ...             self.body.length.fill_(length)
    ...             found[length] = evidence(self)
    ...         self.body.length.fill_(max(found, key=found.get))
    >>> model = brm.RewardModel(6, encoder=Fourier(6, count=32))
    >>> model.features
    32
    """

    name: ClassVar[str]
    default_inputs: ClassVar[str] = "standardized"
    own_spectrum: ClassVar[bool] = False

    def __init__(
        self,
        dim: int,
        body: nn.Module,
        inputs: str = "standardized",
        input_blocks: Mapping[str, slice] | None = None,
    ) -> None:
        super().__init__()
        if inputs not in INPUTS:
            raise InvalidInputError(f"unknown inputs {inputs!r}: there are {', '.join(INPUTS)}")
        self.dim, self.inputs = dim, inputs
        self.input_blocks = as_blocks(input_blocks, dim)
        self.standardize = None if inputs == "raw" else Standardize(dim, list(self.input_blocks.values()))
        self.spectrum: WithinPromptSpectrum | BlockSpectrum | None = None
        if inputs == "within-prompt":
            self.spectrum = (
                WithinPromptSpectrum(dim) if len(self.input_blocks) == 1 else BlockSpectrum(self.input_blocks)
            )
        self.body = body
        self.final = False
        """Whether labels no longer change it, as in simulations from a model."""
        self.features = self._width()

    @property
    def named(self) -> bool:
        """Whether this is an encoder that is asked for by name, and not one around a user's module."""
        return hasattr(type(self), "name")

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with besides ``dim`` and ``inputs``; its class makes it again from these."""
        return {}

    @property
    def blocks(self) -> dict[str, slice]:
        """The features in blocks that deserve a prior scale each; one block unless the body says otherwise."""
        blocks: dict[str, slice] = getattr(self.body, "blocks", {"features": slice(0, self.features)})
        return blocks

    @property
    def linear_blocks(self) -> tuple[str, ...]:
        """Names of the blocks that are linear beside those of a network."""
        return tuple(getattr(self.body, "linear_blocks", ()))

    @property
    def learns_features(self) -> bool:
        """Whether the features are learnt from labels, which they then fit better than others."""
        return next(self.body.parameters(), None) is not None

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train before the last layer."""
        return any(parameter.requires_grad for parameter in self.body.parameters())

    def fit_pool(self, pool: ResponsePool) -> None:
        """Learn what needs no labels: here the statistics that embeddings are prepared with.

        A subclass that learns more calls this first; its body sees :meth:`prepare` of the pool's rows.
        """
        if self.standardize is not None:
            self.standardize.fit(pool)
        if self.spectrum is not None and self.standardize is not None:
            self.spectrum.fit(pool, self.standardize)
            self.set_power(DEFAULT_POWER if self.spectrum.informative else 0.0)

    def fit_labels(self, pool: ResponsePool, preferences: Preferences, evidence: Evidence) -> None:
        """Learn settings, such as a length scale, from labels; here nothing.

        Called once a fit, after :meth:`fit_pool`, where there are enough labels to choose by, and before gradient
        steps, if there are any.

        Parameters
        ----------
        pool : ResponsePool
        preferences : Preferences
            The labels and their responses.
        evidence : Evidence
            ``evidence(encoder)`` is the log evidence of these labels, in nats, for a reward that is linear in the
            features of an encoder as it is now, under the best prior scales.
        """

    def set_power(self, power: float) -> None:
        """Scale embeddings by this power of their spectrum; linear features that are negligible are left out."""
        if self.spectrum is not None:
            self.spectrum.set_power(power)
            for module in self.body.modules():
                if isinstance(module, BlockLeading) and isinstance(self.spectrum, BlockSpectrum):
                    module.direct(self.spectrum.directions)
                elif isinstance(module, Leading) and isinstance(self.spectrum, WithinPromptSpectrum):
                    module.directions = self.spectrum.directions
            self.measure()

    def measure(self) -> None:
        """Count the features again, which may have become more or fewer."""
        self.features = self._width()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        tensors = (*self.parameters(), *self.buffers())
        return tensors[0].device if tensors else torch.device("cpu")

    def prepare(self, embeddings: Float[Tensor, "response embedding"]) -> Float[Tensor, "response embedding"]:
        """What the body sees."""
        x = embeddings if self.standardize is None else self.standardize(embeddings)
        prepared: Tensor = x if self.spectrum is None else self.spectrum(x)
        return prepared

    def forward(self, embeddings: Float[Tensor, "response embedding"]) -> Float[Tensor, "response feature"]:
        """Encode each response once."""
        features: Tensor = self.body(self.prepare(embeddings))
        return features

    def _width(self) -> int:
        """The number of features that the body returns."""
        expected = f"expected an encoder that maps (response, {self.dim}) to (response, feature)"
        try:
            with torch.no_grad(), rng.fenced(0):  # dropout draws random numbers
                shape = tuple(self.body(torch.zeros(2, self.dim, device=self.device)).shape)
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise InvalidInputError(f"{expected}, and it fails: {error}") from error
        if len(shape) != 2 or shape[0] != 2:
            raise InvalidInputError(f"{expected}, got {shape} from an input of shape (2, {self.dim})")
        return int(shape[1])
