"""A reward model that was saved: scores of texts or embeddings, with what is not known of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bayesrm.annotators.hub import HubRewardModel
from bayesrm.data.covariates import JUDGE, surface_covariates
from bayesrm.embedding import Embedder, EmbeddingSettings
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.export.files import (
    CONFIGURATION,
    Description,
    build_function,
    counted_labels,
    damaged,
    read_description,
    read_tensors,
    to_device,
)
from bayesrm.export.reward_function import RewardFunction, input_blocks
from bayesrm.export.saved_likelihood import load_likelihood
from bayesrm.export.trl import TRLReward, dialogue
from bayesrm.inference import as_device
from bayesrm.models.far_out import warn_far_out
from bayesrm.models.likelihoods.base import Likelihood
from bayesrm.posteriors.base import RewardMoments
from bayesrm.types import ResponsePool
from bayesrm.utils.checked import checked
from bayesrm.utils.wording import told

Scorable = Any
"""Embeddings (response, embedding), a ResponsePool, or a list of (prompt, response), each a text or messages."""


class LoadedRewardModel:
    """What :func:`load_reward_model` returns.

    A reward is known up to a constant. Here it is measured from the average response of the pool that the model was
    fitted on: mean and sd are those of r − r̄, and do not depend on what else is scored. Two responses are compared
    through their difference, whose variance is not the sum of theirs: ask :meth:`preference_probability`.

    Parameters
    ----------
    description : Description
        The configuration in the files.
    function : RewardFunction
        From embeddings to moments of rewards.
    likelihood : Likelihood
        What annotators say of two responses; None where it is the user's own and was not given.
    device : str, optional
        Where texts are embedded; None: a GPU where there is one.
    """

    def __init__(
        self,
        description: Description,
        function: RewardFunction,
        likelihood: Likelihood | None,
        device: str | None = None,
    ) -> None:
        self.description, self.function, self.likelihood = description, function, likelihood
        self._device = device
        self._embedder: Embedder | None = None
        self._judge: HubRewardModel | None = None

    def __repr__(self) -> str:
        labels, model = counted_labels(self.description["labels"]), self.description["model"]["encoder"]
        return f"LoadedRewardModel({model}, {self.description['inference']}, {labels}, dimension {self.dim})"

    @property
    def dim(self) -> int:
        """The dimension p of an embedding."""
        return self.function.encoder.dim

    @property
    def covariates(self) -> tuple[str, ...]:
        """What it reads of a response beside its embedding."""
        return self.function.covariates.names

    @property
    def embedder(self) -> Embedder:
        """What turns texts into embeddings; loaded when first used.

        Raises
        ------
        CapabilityError
            Where the files do not say how texts were embedded.
        """
        if self._embedder is None:
            settings = self.description.get("embedding")
            if not settings:
                raise CapabilityError(
                    "this reward model does not say how its embeddings were made, so it scores embeddings and no "
                    "texts: embed them as its pool was, or export it again from a pool that `bayesrm embed` made"
                )
            self._embedder = Embedder(EmbeddingSettings.from_dict(settings), device=self._device)
        return self._embedder

    def reward(
        self, x: Scorable, without: Sequence[str] = ()
    ) -> tuple[Float[np.ndarray, "response"], Float[np.ndarray, "response"]]:
        """Posterior mean and standard deviation of each reward, in logits, measured from the average pool response.

        Parameters
        ----------
        x : object
            Embeddings (response, embedding), a ResponsePool, or a list of (prompt, response): each a text or a list
            of messages with role and content, of which a response is what the assistant said last.
        without : sequence of str
            Covariates that are held at their mean over the pool of the fit; "length" stands for all that say how long
            a text is. Two responses to one prompt then differ by what ``posterior.reward(pool, without)`` says.

        Returns
        -------
        mean, sd
            (response,) each; sd is 0 for a point estimate.
        """
        pool = self._plain(x)
        warn_far_out(self.function.encoder, pool)
        parts = [
            _mean_and_sd(self.function.moments(rows, values, without))
            for rows, values in input_blocks(pool, self.covariates)
        ]
        mean, sd = (np.concatenate(column) for column in zip(*parts, strict=True))
        return mean, sd

    def lower_bound(
        self, x: Scorable, kappa: float = 1.0, without: Sequence[str] = ()
    ) -> Float[np.ndarray, "response"]:
        """mean − κ·sd: what a policy cannot raise by going where the reward model knows nothing."""
        mean, sd = self.reward(x, without)
        return mean - kappa * sd

    def preference_probability(self, first: Scorable, second: Scorable) -> Float[np.ndarray, "pair"]:
        """Posterior predictive probability that an annotator prefers the first of each pair, a tie counted as half.

        Parameters
        ----------
        first, second : object
            As for :meth:`reward`, of the same length. Across prompts the probability is that for two prompts of the
            same difficulty.

        Raises
        ------
        CapabilityError
            Where the likelihood is the user's own, and was not given to ``load_reward_model``.
        """
        if self.likelihood is None:
            raise CapabilityError(
                "the likelihood of this reward model is the user's own, and code is not saved: give it, "
                "load_reward_model(path, likelihood=...); rewards do not need it"
            )
        left, right = self._plain(first), self._plain(second)
        if len(left) != len(right):
            raise InvalidInputError(f"expected as many first as second, got {len(left)} and {len(right)}")
        for side in (left, right):
            warn_far_out(self.function.encoder, side)
        parts = []
        sides = (input_blocks(side, self.covariates) for side in (left, right))
        for one, other in zip(*sides, strict=True):
            rows, values = (np.concatenate(both) for both in zip(one, other, strict=True))
            moments = self.function.moments(rows, values)
            index = torch.arange(len(one[0]), device=self.function.device)
            parts.append(moments.probability(self.likelihood, index, index + len(index)).cpu().numpy())
        return np.concatenate(parts)

    def moments(self, x: Scorable, without: Sequence[str] = ()) -> RewardMoments:
        """Mean and covariance factor of rewards: their joint posterior, in 8 × features bytes a response."""
        pool = self._plain(x)
        warn_far_out(self.function.encoder, pool)
        everything = np.arange(len(pool))
        return self.function.moments(
            pool.rows(everything), pool.covariate_rows(self.covariates, everything), without
        )

    def trl(self, kappa: float = 0.0, reference: str = "pool", without: Sequence[str] = ()) -> TRLReward:
        """A callable with the signature of TRL's reward functions, see :class:`~bayesrm.export.trl.TRLReward`."""
        held = self.function.covariates.chosen(without)
        _ = self.embedder  # which says what is missing where texts cannot be embedded

        def moments(prompts: list[Any], responses: list[str]) -> RewardMoments:
            return self.moments(list(zip(prompts, responses, strict=True)), held)

        return TRLReward(moments, kappa, reference)

    def _plain(self, x: Scorable) -> ResponsePool:
        """What is scored, as a pool without texts, whose embeddings are checked as they are read."""
        if isinstance(x, ResponsePool):
            return x
        if isinstance(x, torch.Tensor):
            x = x.detach().cpu().float().numpy()
        if (
            isinstance(x, Sequence)
            and len(x)
            and all(isinstance(text, tuple | list) and len(text) == 2 for text in x)
        ):
            pairs = [_texts_of(number, prompt, response) for number, (prompt, response) in enumerate(x)]
            return self.read([prompt for prompt, _ in pairs], [response for _, response in pairs])
        if isinstance(x, np.ndarray) and x.ndim == 2 and len(x):
            return ResponsePool(x, np.zeros(len(x), dtype=np.int64))
        got = "an empty list" if isinstance(x, list) and not x else told(x)
        raise InvalidInputError(
            f"expected embeddings (response, {self.dim}), a ResponsePool or a list of (prompt, response), got {got}"
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Covariates that do not follow from texts: columns of the user's table."""
        judged = (JUDGE,) if (self.description.get("embedding") or {}).get(JUDGE) else ()
        return tuple(name for name in self.covariates if name not in (*self.embedder.settings.covariates, *judged))

    def read(
        self,
        prompts: Sequence[Any],
        responses: Sequence[str],
        given: Mapping[str, Sequence[float]] | None = None,
    ) -> ResponsePool:
        """Embeddings of texts and their covariates, as a pool to score.

        Parameters
        ----------
        prompts, responses : sequence
            One of each a response.
        given : mapping of str to sequence of float, optional
            Covariates that do not follow from texts, see :attr:`columns`.

        Raises
        ------
        InvalidInputError
            Where one of those is missing.
        """
        pool = ResponsePool(self.embedder.embed(prompts, responses), np.zeros(len(responses), dtype=np.int64))
        known = [name for name in self.covariates if name in self.embedder.settings.covariates]
        made = surface_covariates(prompts, responses, known)
        made |= {name: np.asarray(values, dtype=np.float64) for name, values in (given or {}).items()}
        if JUDGE in self.covariates and JUDGE not in made and self.judge is not None:
            made[JUDGE] = self.judge.score(prompts, responses)
        if beside := [name for name in self.covariates if name not in made]:
            raise InvalidInputError(
                f"expected a ResponsePool with the covariates {', '.join(self.covariates)}, got texts, from which "
                f"{', '.join(beside)} cannot be computed"
            )
        return pool.with_covariates(made)

    @property
    def judge(self) -> HubRewardModel | None:
        """The reward model whose score is the covariate "judge"; None where the files do not name one.

        Raises
        ------
        InvalidInputError
            Where it cannot be loaded, or its weights are others than they were.
        """
        described = (self.description.get("embedding") or {}).get(JUDGE)
        if self._judge is None and described:
            self._judge = HubRewardModel(
                described["model"],
                template=described["template"],
                max_tokens=described["max_tokens"],
                device=self._device,
            )
            if self._judge.describe()["weights"] != described["weights"]:
                raise InvalidInputError(
                    f"the judge {described['model']} has other weights than when the pool was embedded: put the old "
                    "ones back, or embed the pool again"
                )
        return self._judge


@checked
def load_reward_model(
    path: str | os.PathLike[str],
    encoder: nn.Module | None = None,
    likelihood: Likelihood | Callable | None = None,
    base: str | None = None,
    device: str | None = None,
) -> LoadedRewardModel:
    """Load a reward model that ``bayesrm export`` or ``save_reward_model`` wrote. Nothing is unpickled.

    Parameters
    ----------
    path : str or path
        Its directory.
    encoder : torch.nn.Module, optional
        Where the encoder was a custom module: one of the same architecture, to take the saved weights.
    likelihood : Likelihood or callable, optional
        Where the likelihood or the Pyro program was one's own: that, for probabilities.
    base : str, optional
        Where the model that embeds texts is, a name on the hub or a folder, if it is not where the files say.
    device : str, optional
        Where to compute, such as "cuda"; default: rewards on the CPU, embeddings on a GPU where there is one.

    Raises
    ------
    InvalidInputError
        Where the files are missing, damaged, or of another format.

    See Also
    --------
    save_reward_model : Writes one.

    Examples
    --------
    >>> brm.save_reward_model("exported", posterior)
    >>> model = brm.load_reward_model("exported")
    >>> mean, sd = model.reward(pool)
    """
    path = Path(path)
    described = read_description(path)
    tensors = read_tensors(path, described)
    with damaged(path / CONFIGURATION):
        function = build_function(described, tensors, encoder)
        values = {
            name.removeprefix("likelihood."): value
            for name, value in tensors.items()
            if name.startswith("likelihood.")
        }
        own = load_likelihood(described["likelihood"], values, likelihood)
        LoadedRewardModel(described, function, own).__repr__()
        if base is not None and described["embedding"]:
            described["embedding"]["model"] = base
    return LoadedRewardModel(described, to_device(function, as_device(device)), own, device)


def _texts_of(number: int, prompt: Any, response: Any) -> tuple[Any, str]:
    """A pair with its response as a text: of messages it is what the assistant said last, as for TRL's trainers."""
    if isinstance(response, str):
        return prompt, response
    try:
        return dialogue(prompt, response, "response")
    except InvalidInputError as error:
        raise InvalidInputError(f"{error}, in pair {number}") from error


def _mean_and_sd(
    moments: RewardMoments,
) -> tuple[Float[np.ndarray, "response"], Float[np.ndarray, "response"]]:
    return moments.mean.cpu().numpy(), moments.factor.square().sum(dim=1).sqrt().cpu().numpy()
