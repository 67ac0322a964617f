"""Models and tokenizers of the hub: safetensors only, no code of theirs is run, and no weight is made up."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import torch

from bayesrm.errors import InvalidInputError

SAMPLED = 64
"""Numbers of each weight that go into a model's digest."""

_UNUSED = ("pooler.",)
"""Weights that no embedding depends on: checkpoints often lack them."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model in evaluation mode on its device, and its tokenizer."""

    model: Any
    tokenizer: Any
    device: torch.device
    folder: Path | None

    @property
    def config(self) -> Any:
        """The configuration of the part that reads text."""
        return self.model.config.get_text_config()

    def is_decoder(self) -> bool:
        """Whether each token sees only those before it, as far as the kind of model tells."""
        from transformers.models.auto import modeling_auto

        kind = self.config.model_type
        causal, masked = (
            modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        )
        return kind in causal and (kind not in masked or bool(self.config.is_decoder))

    def window(self) -> int:
        """The most tokens that the model takes, by all that its files say."""
        says = [getattr(self.config, "max_position_embeddings", None), self.tokenizer.model_max_length]
        if says[0] and self.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer"):
            says[0] -= self.config.pad_token_id + 1  # they count positions from the padding token's number on
        sentence = self.file("sentence_bert_config.json")
        says.append(None if sentence is None else sentence.get("max_seq_length"))
        return int(min((limit for limit in says if limit and 0 < limit < 10**7), default=4096))

    def file(self, name: str) -> Any:
        """A JSON file beside the weights, or None."""
        path = self.path(name)
        return None if path is None else json.loads(path.read_text(encoding="utf-8"))

    def path(self, name: str) -> Path | None:
        """Where a file beside the weights is, or None."""
        if self.folder is not None:
            path = self.folder / name
            return path if path.is_file() else None
        from transformers.utils.hub import cached_file

        found = cached_file(
            self.model.name_or_path,
            name,
            revision=getattr(self.model.config, "_commit_hash", None),
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return Path(found) if found else None

    def digest(self, head: torch.nn.Module | None = None) -> str:
        """Names, shapes and a sample of the numbers of all weights: tells two models of one name apart."""
        total = hashlib.sha256()
        weights = self.model.state_dict()
        if head is not None:
            weights = weights | {f"sentence head.{name}": value for name, value in head.state_dict().items()}
        for name, weight in sorted(weights.items()):
            flat = weight.detach().reshape(-1)
            sample = flat[:: max(1, flat.numel() // SAMPLED)][:SAMPLED].double().cpu()
            total.update(f"{name}{tuple(weight.shape)}".encode())
            total.update(sample.numpy().tobytes())
        return total.hexdigest()


def load(
    name: str,
    head: bool = False,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> Loaded:
    """Load a model for embeddings, or with ``head`` for scores of one number.

    Parameters
    ----------
    name
        Name on the hub, or a folder.
    head
        Whether to load the head of ``AutoModelForSequenceClassification``.
    revision
        Branch, tag or commit.
    device
        Such as "cuda" or "cpu"; None: a GPU where there is one.
    dtype
        What it computes in; None: float32 on a CPU, else bfloat16.

    Raises
    ------
    InvalidInputError
        Where there is no such model, it has no safetensors, wants to run its own code, or lacks weights.
    """
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    place = as_device(device)
    kind = AutoModelForSequenceClassification if head else AutoModel
    folder = Path(name) if Path(name).is_dir() else None
    number = getattr(torch, dtype or default_dtype(place))
    # Without this the hub's client tries for a minute and a half before it says that there is no network.
    offline = folder is None and not hub_is_reachable()
    with quiet(), _explaining(name, offline):
        tokenizer = AutoTokenizer.from_pretrained(
            name, revision=revision, trust_remote_code=False, local_files_only=offline
        )
        model, report = kind.from_pretrained(
            name,
            revision=revision,
            dtype=number,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=offline,
            output_loading_info=True,
        )
    missing = sorted(key for key in report["missing_keys"] if head or not key.startswith(_UNUSED))
    if missing:
        raise InvalidInputError(
            f"expected all weights in {name}, but {len(missing)} are missing, such as {missing[0]}: "
            + ("is it a reward model?" if head else "is it a model of another kind?")
        )
    if not tokenizer.is_fast:
        raise InvalidInputError(
            f"expected a model with a fast tokenizer (tokenizer.json), and {name} has none: convert it with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)"
        )
    if not head and model.config.is_encoder_decoder:
        model = model.get_encoder()
    model.config.get_text_config().use_cache = False
    return Loaded(model.eval().to(place), tokenizer, place, folder)


def as_device(name: str | None) -> torch.device:
    """A device that is there; None means a GPU where there is one."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInputError(f"expected a device such as cpu or cuda, got {name} ({reason})") from error
    return device


def default_dtype(device: torch.device) -> str:
    """What a model computes in where nobody says."""
    return "float32" if device.type == "cpu" else "bfloat16"


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and warnings of loading: what matters of them is checked."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def hub_is_reachable(timeout: float = 3.0) -> bool:
    """Whether a connection to the hub, or to the proxy in front of it, opens in a few seconds."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    hub = urlsplit(constants.ENDPOINT)
    proxy = None if proxy_bypass(hub.hostname or "") else getproxies().get(hub.scheme)
    place = hub if proxy is None else urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        with socket.create_connection((place.hostname or "", port), timeout):
            return True
    except OSError:
        return False


@contextmanager
def _explaining(name: str, offline: bool = False) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())
        advice = "give a name on the hub or a folder with config.json, model.safetensors and tokenizer.json"
        if offline:
            advice = (
                "the hub cannot be reached from here, and this machine has no copy of it; download it where there is a "
                "network (hf download NAME --local-dir FOLDER) and give the folder as --model"
            )
        elif "safetensors" in reason:
            advice = "only weights in safetensors are read, because other files can run code"
        elif "trust_remote_code" in reason:
            advice = "models that bring code of their own are not run: choose one that transformers knows"
        raise InvalidInputError(
            f"the model {name} cannot be loaded: {advice} ({_first_sentence(reason)})"
        ) from error


def _first_sentence(text: str, length: int = 200) -> str:
    sentence = text.split(". ")[0].rstrip(".")
    return sentence if len(sentence) <= length else sentence[: length - 3] + "..."
