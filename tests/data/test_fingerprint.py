"""What runs and campaigns know a pool by."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.data.fingerprint import SAMPLED, Fingerprint

EMBEDDINGS = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)
PROMPT = np.arange(100) // 4


def of(embeddings=EMBEDDINGS, prompt=PROMPT) -> Fingerprint:
    return Fingerprint.of(brm.ResponsePool(embeddings, prompt))


def test_the_same_pool_has_the_same():
    assert of() == of(EMBEDDINGS.copy(), [f"prompt {k:02}" for k in PROMPT])
    assert of().digest() == of(EMBEDDINGS.copy()).digest()


def moved(row: int) -> np.ndarray:
    changed = EMBEDDINGS.copy()
    changed[row] += 1
    return changed


@pytest.mark.parametrize(
    "other",
    [
        {"embeddings": EMBEDDINGS[:-4], "prompt": PROMPT[:-4]},
        {"embeddings": EMBEDDINGS[:, :-1]},
        {"prompt": np.roll(PROMPT, 1)},
        {"embeddings": moved(0)},
        {"embeddings": moved(99)},
    ],
    ids=["responses", "dimension", "prompts", "first", "last"],
)
def test_another_pool_has_another(other):
    assert of(**other).as_json() != of().as_json()
    assert of(**other).digest() != of().digest()


def test_only_some_rows_are_read():
    looked_at = [row for row in range(100) if of(moved(row)) != of()]
    assert len(looked_at) == SAMPLED


def test_it_is_made_of_the_bytes_of_the_pool():
    few = slice(0, 12)
    found = of(EMBEDDINGS[few], PROMPT[few])
    group = np.repeat(np.arange(3), 4)
    assert found.as_json() == {
        "responses": 12,
        "dimension": 3,
        "prompts": hashlib.sha256(group.tobytes()).hexdigest(),
        "embeddings": hashlib.sha256(EMBEDDINGS[few].tobytes()).hexdigest(),
    }
    assert found.digest() == hashlib.sha256(b"12 3" + group.tobytes() + EMBEDDINGS[few].tobytes()).hexdigest()
