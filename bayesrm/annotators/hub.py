"""A reward model of the hub as annotator: its scores as golden rewards, or as a judge of the pairs it is asked about.

Any model that ``AutoModelForSequenceClassification`` loads with a head of one number. As a judge it answers like a
Bradley–Terry annotator, P(first) = sigmoid(temperature · (s_first − s_second)), or always for the higher score.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from bayesrm.annotators.base import SeededAnnotator
from bayesrm.annotators.scores import ScoreCache
from bayesrm.data.conversation import as_conversation
from bayesrm.data.golden import as_golden
from bayesrm.data.golden_column import keep_golden, require_none
from bayesrm.data.texts import load_pool_texts
from bayesrm.embedding.batches import plan_batches
from bayesrm.embedding.forward import inputs_of, padding_token, run
from bayesrm.embedding.loading import Loaded, load
from bayesrm.embedding.settings import EmbeddingSettings
from bayesrm.embedding.tokens import Tokens, tokenise
from bayesrm.errors import InvalidInputError
from bayesrm.types import Pairs, Preferences
from bayesrm.utils.progress import advancing

ANSWERS = ("sample", "argmax")


class HubRewardModel:
    """Scores of responses by a model of the hub, computed in batches of like length and kept.

    Parameters
    ----------
    model
        Name on the hub, or a folder.
    revision
        Branch, tag or commit.
    cache
        A folder in which scores are kept from run to run; None keeps them in memory only.
    template
        ``chat``, ``plain`` or ``pair``, as for embeddings. None: the tokenizer's chat template where it has one, else
        two texts for encoders and one for decoders.
    max_tokens
        Window; None: the model's. Too long a text loses the middle of its prompt, never the response while it fits.
    dtype
        What it computes in; None: float32 on a CPU, else bfloat16.
    device
        Such as "cuda"; None: a GPU where there is one.
    batch_tokens
        Maximum number of tokens in a batch, padding included.

    Raises
    ------
    InvalidInputError
        Where the model cannot be loaded, lacks the weights of its head, or has more than one output.
    """

    def __init__(
        self,
        model: str,
        revision: str | None = None,
        cache: Path | None = None,
        template: str | None = None,
        max_tokens: int | None = None,
        dtype: str | None = None,
        device: str | None = None,
        batch_tokens: int = 4096,
    ) -> None:
        EmbeddingSettings(model, template=template, max_tokens=max_tokens, dtype=dtype, batch_tokens=batch_tokens)
        self.model = model
        self._loaded: Loaded = load(model, head=True, revision=revision, device=device, dtype=dtype)
        outputs = self._loaded.model.config.num_labels
        if outputs != 1:
            raise InvalidInputError(
                f"expected a reward model with one output, and {model} has {outputs}: it classifies"
            )
        chat = bool(getattr(self._loaded.tokenizer, "chat_template", None))
        self._template = template or ("chat" if chat else "plain" if self._loaded.is_decoder() else "pair")
        self._window = min(max_tokens or self._loaded.window(), self._loaded.window())
        self._batch_tokens = batch_tokens
        self._digest = self._loaded.digest()
        self._cache = ScoreCache(cache, f"{self._digest}-{self._loaded.model.dtype}")

    def score(
        self, prompts: Sequence[Any], responses: Sequence[str], show_progress: bool = False
    ) -> Float[np.ndarray, "response"]:
        """(response,) the score of each response to its prompt; equal texts, and those scored before, cost nothing."""
        conversations = [as_conversation(prompt) for prompt in prompts]
        tokens = tokenise(self._loaded.tokenizer, self._template, self._window, conversations, responses)
        keys = [self._cache.key(tokens[text], int(tokens.split[text])) for text in range(len(tokens))]
        fresh = np.array([text for text, key in enumerate(keys) if key not in self._cache], dtype=np.int64)
        wanted = _part(tokens, fresh)
        plan = plan_batches(wanted, self._batch_tokens)
        with advancing("scoring", float(wanted.lengths[plan.order].sum()), show_progress) as advance:
            for number in range(len(plan)):
                texts = plan.batch(number)
                self._cache.add([keys[fresh[text]] for text in texts], self._score_batch(wanted, texts))
                advance(float(wanted.lengths[texts].sum()))
        return np.array([self._cache[key] for key in keys], dtype=np.float64)

    def describe(self) -> dict[str, Any]:
        """What scores depend on, as JSON-able values."""
        return {
            "model": self.model,
            "weights": self._digest,
            "template": self._template,
            "max_tokens": self._window,
            "dtype": str(self._loaded.model.dtype),
        }

    def _score_batch(self, tokens: Tokens, texts: np.ndarray) -> Float[np.ndarray, "text"]:
        config = self._loaded.config
        own = config.pad_token_id
        # Heads of decoders take the last token that is not padding, and tell it by its number: where the model has
        # none, it must be one that is in no text of the batch.
        pad = padding_token(self._loaded.tokenizer) if own is None else int(own)
        if own is None and self._loaded.is_decoder():
            present = {int(token) for text in texts for token in tokens[int(text)]}
            pad = next(token for token in range(config.vocab_size) if token not in present)
        config.pad_token_id = pad
        try:
            inputs = inputs_of(self._loaded, tokens, texts, "right", pad, self._template == "pair")
            scores = run(self._loaded, inputs).logits[:, 0].double().cpu().numpy()
        finally:
            config.pad_token_id = own
        if not np.isfinite(scores).all():
            raise InvalidInputError(f"the reward model {self.model} gives NaN or infinity: compute in float32")
        return np.asarray(scores)


class HubAnnotator(SeededAnnotator):
    """A reward model as a judge: it reads only the responses that it is asked about.

    Parameters
    ----------
    reward_model
        What scores them.
    prompts, responses
        (response,) the texts of the pool.
    answer
        ``sample``: prefers the first with probability sigmoid(temperature · difference of scores); ``argmax``: the
        one with the higher score, a tie where they are equal.
    temperature
        Slope of the preference probability, above 0.
    seed
        Root of the draws.
    """

    name: ClassVar[str] = "hub"

    def __init__(
        self,
        reward_model: HubRewardModel,
        prompts: Sequence[Any],
        responses: Sequence[str],
        answer: str = "sample",
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        if answer not in ANSWERS:
            raise InvalidInputError(f"expected answer to be sample or argmax, got {answer!r}")
        if not 0 < temperature < np.inf:
            raise InvalidInputError(f"expected a finite temperature above 0, got {temperature}")
        if len(prompts) != len(responses):
            raise InvalidInputError(
                f"expected a prompt for each response, got {len(prompts)} prompts and {len(responses)} responses"
            )
        self.reward_model, self.answer = reward_model, answer
        self.temperature, self.seed = float(temperature), operator.index(seed)
        self._prompts, self._responses = prompts, responses
        self._known: dict[int, float] = {}

    def probability(self, pairs: Pairs) -> Float[np.ndarray, "pair"]:
        """The probability that the first is preferred, before ``argmax`` makes it a decision."""
        return np.asarray(expit(self.temperature * self.margin(pairs)))

    def margin(self, pairs: Pairs) -> Float[np.ndarray, "pair"]:
        """(pair,) the score of the first less that of the second."""
        asked, place = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
        if len(asked) and asked[-1] >= len(self._responses):
            raise InvalidInputError(
                f"expected pairs of the {len(self._responses)} responses whose texts are known, "
                f"got response {asked[-1]}"
            )
        fresh = [at for at in asked.tolist() if at not in self._known]
        if fresh:
            found = self.reward_model.score(
                [self._prompts[at] for at in fresh], [self._responses[at] for at in fresh]
            )
            self._known.update(zip(fresh, found.tolist(), strict=True))
        scores = np.array([self._known[at] for at in asked.tolist()])[place]
        half = len(pairs.first)
        return np.asarray(scores[:half] - scores[half:])

    def label(self, pairs: Pairs) -> Preferences:
        """Answer each pair."""
        generator = self._generator()
        if self.answer == "argmax":
            outcome = 0.5 * (1.0 + np.sign(self.margin(pairs)))
        else:
            outcome = (generator.random(len(pairs.first)) < self.probability(pairs)).astype(np.float64)
        return Preferences(
            pairs.first, pairs.second, outcome, annotator=np.full(len(outcome), self.reward_model.model)
        )

    def describe(self) -> dict[str, Any]:
        """The model, how it answers, and the seed."""
        return super().describe() | {
            "reward_model": self.reward_model.describe(),
            "answer": self.answer,
            "temperature": self.temperature,
            "seed": self.seed,
        }


def _part(tokens: Tokens, texts: np.ndarray) -> Tokens:
    """Some of the texts."""
    ids = [tokens[int(text)] for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(own) for own in ids])]).astype(np.int64)
    flat = np.concatenate(ids) if ids else np.empty(0, np.int32)
    return Tokens(flat, starts, tokens.split[texts], tokens.cut_prompts, tokens.cut_responses)


def write_golden(pool: Path, reward_model: HubRewardModel, show_progress: bool = True) -> tuple[Path, int]:
    """Score every response of a pool directory into its ``golden.npy``; the file and how many.

    Raises
    ------
    InvalidInputError
        Where the pool has no texts, or golden rewards already.
    """
    require_none(pool)
    prompts, responses = load_pool_texts(pool)
    scores = as_golden(reward_model.score(prompts, responses, show_progress), len(responses))
    return keep_golden(pool, scores, reward_model.describe()), len(scores)
