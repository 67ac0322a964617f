"""A pool of the paper's full size is read by the rows that a round touches, not as a whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bayesrm as brm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")

PROMPTS, RESPONSES, DIM = 40_000, 10, 2048
GIGABYTE = 1024**3

START = """
import sys
import torch
torch.set_num_threads(1)
import bayesrm as brm
from bayesrm.inference.fitting import training

training.MAX_STEPS = 12

def peak():
    with open("/proc/self/status") as status:  # the maximum that getrusage gives counts the parent's memory too
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
"""

ROUND = """
pool, golden = brm.load_pool(sys.argv[1]), brm.load_golden(sys.argv[1])
assert (len(pool), pool.dim, pool.n_prompts) == (400_000, 2048, 40_000)
tree = brm.run(pool, brm.GoldenAnnotator(golden), model=brm.RewardModel(pool.dim, "mlp"), inference="laplace",
               design="pa-dopt", batch_size=125, rounds=1, draws=10)
assert tree["selection"].sizes["comparison"] == 125
print(peak())
"""


def printed_by(script: str, pool: Path) -> int:
    """What a script prints last, in a process of its own with one thread."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START + script, str(pool)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture
def full_size_pool(tmp_path):
    """The paper's two files, 3.3 GB: 400 different prompts, over and over."""
    size = PROMPTS * RESPONSES * DIM * 4
    if shutil.disk_usage(tmp_path).free < 2 * size:
        pytest.skip("not enough room on the disk for a pool of the paper's size")
    random = np.random.default_rng(0)
    part = random.standard_normal((400, RESPONSES, DIM), dtype=np.float32)
    path = tmp_path / "embd_gemma2b_gemma2b_harmless_train.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, (PROMPTS, RESPONSES, DIM))
    for start in range(0, PROMPTS, len(part)):
        array[start : start + len(part)] = part
    del array
    np.save(
        tmp_path / "reward_gemma2b_gemma2b_harmless_train.npy", random.standard_normal((PROMPTS, RESPONSES, 1))
    )
    yield path
    path.unlink()


def test_one_round_of_the_papers_full_size_stays_below_2500_megabytes(full_size_pool):
    peak = printed_by(ROUND, full_size_pool)
    print(f"peak {peak / GIGABYTE:.2f} GiB")
    assert peak < 2.5 * GIGABYTE


EVALUATION = """
pool, golden = brm.load_pool(sys.argv[1]), brm.load_golden(sys.argv[1])
few = brm.ResponsePool(pool.embeddings[:1000], pool.group[:1000])
pairs = brm.candidates(few, size=200)
labels = brm.GoldenAnnotator(golden[:1000]).label(brm.Comparisons(pairs.first, pairs.second))
posterior = brm.fit(brm.RewardModel(pool.dim, "mlp"), few, labels, "laplace")
brm.evaluate(posterior, few, golden[:1000])
before = peak()
scores = brm.evaluate(posterior, pool, golden)
assert scores["log_loss"] > 0
print(peak() - before)
"""


def test_evaluation_of_many_responses_is_streamed(tmp_path):
    """150,000 responses of dimension 1,024 are 0.3 GB as they lie on the disk, and 0.6 GB as float32."""
    if shutil.disk_usage(tmp_path).free < 2 * GIGABYTE:
        pytest.skip("not enough room on the disk for the pool")
    prompts, responses, dim = 3_000, 50, 1024
    random = np.random.default_rng(0)
    embeddings = np.tile(random.standard_normal((responses, dim)).astype(np.float16), (prompts, 1))
    golden = random.standard_normal(prompts * responses)
    brm.save_pool(
        tmp_path / "pool", brm.ResponsePool(embeddings, np.repeat(np.arange(prompts), responses)), golden
    )
    assert printed_by(EVALUATION, tmp_path / "pool") < 0.3 * GIGABYTE
