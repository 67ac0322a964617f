"""A reward function as TRL's trainers call it: ``(prompts, completions, **kwargs) → list of floats``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from bayesrm.data.conversation import Turn, as_turns
from bayesrm.errors import InvalidInputError
from bayesrm.posteriors.base import RewardMoments

REFERENCES = ("pool", "prompt")


class TRLReward:
    """Rewards for ``GRPOTrainer(reward_funcs=...)`` and its like.

    Parameters
    ----------
    moments
        From prompts and responses to moments of rewards.
    kappa
        What is returned is mean − κ·sd. A policy that is trained on the mean alone finds responses that the reward
        model overrates because it has seen none like them; their sd is large.
    reference
        What rewards are measured from: "pool", the average response of the pool of the fit, so that a score does not
        depend on what else is in a call; "prompt", the average of the completions to the same prompt in the call, so
        that sd leaves out what is unknown of all of them alike. A prompt with one completion then has reward 0.

    Raises
    ------
    InvalidInputError
        Where κ is not a number of at least 0, or the reference is none of the two.
    """

    def __init__(
        self,
        moments: Callable[[list[Any], list[str]], RewardMoments],
        kappa: float = 0.0,
        reference: str = "pool",
    ) -> None:
        if not 0 <= kappa < float("inf"):
            raise InvalidInputError(f"expected a finite kappa of at least 0, got {kappa}")
        if reference not in REFERENCES:
            raise InvalidInputError(f"expected reference to be one of {', '.join(REFERENCES)}, got {reference!r}")
        self._moments, self.kappa, self.reference = moments, kappa, reference
        # Trainers log a reward under the name of its function.
        self.__name__ = "bayesrm" if kappa == 0 else f"bayesrm_kappa_{kappa:g}"

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **kwargs: Any) -> list[float]:
        """Score completions.

        Parameters
        ----------
        prompts
            One for each completion: a text, or a list of messages with role and content.
        completions
            Texts, or lists of messages, of which what the assistant said last is the response: its text, and the tools
            that it calls, but not what a tool answered.
        kwargs
            Whatever else a trainer passes (columns of the data set, token ids, its state); not used.
        """
        if len(prompts) != len(completions):
            raise InvalidInputError(
                f"expected a prompt for each completion, got {len(prompts)} and {len(completions)}"
            )
        if not len(completions):
            return []
        asked, answered = zip(*map(dialogue, prompts, completions), strict=True)
        moments = self._moments(list(asked), list(answered))
        mean, factor = moments.mean, moments.factor
        if self.reference == "prompt":
            group = torch.from_numpy(_groups(prompts)).to(mean.device)
            mean, factor = mean - _group_mean(mean, group), factor - _group_mean(factor, group)
        scores = mean - self.kappa * factor.square().sum(dim=1).sqrt()
        return [float(score) for score in scores]


def dialogue(prompt: Any, completion: Any, name: str = "completions") -> tuple[Any, str]:
    """Prompt and response: what the assistant said last; turns of a completion before it go to the prompt.

    Messages may have content that is null or in parts, and calls of tools: whatever a policy writes has a reward.
    """
    if not isinstance(prompt, str):
        prompt = as_turns(prompt, "prompt", only_text=False)
    if isinstance(completion, str):
        return prompt, _writable(completion)
    turns = as_turns(completion, name, "assistant", only_text=False)
    said = [at for at, turn in enumerate(turns) if turn.role == "assistant"]
    last = said[-1] if said else len(turns) - 1
    if last:
        prompt = (Turn("user", prompt),) if isinstance(prompt, str) else prompt
        prompt = (*prompt, *turns[:last])
    return prompt, _writable(turns[last].content)


def _writable(text: str) -> str:
    """With a sign in the place of half characters, which no tokenizer takes."""
    return text.encode(errors="replace").decode()


def _groups(prompts: Sequence[Any]) -> np.ndarray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(repr(prompt), len(numbers)) for prompt in prompts])


def _group_mean(values: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """For each row the mean of its group's rows."""
    total = values.new_zeros((int(group.max()) + 1, *values.shape[1:])).index_add_(0, group, values)
    count = torch.bincount(group).to(values)
    return (total / count.reshape(-1, *[1] * (values.ndim - 1)))[group]
