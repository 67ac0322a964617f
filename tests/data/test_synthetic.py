"""Synthetic pools in the paper's format: the same to the bit, and learnable."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.data.synthetic import write_synthetic
from bayesrm.errors import InvalidInputError
from bayesrm.study import study_pools


def test_the_same_seed_gives_the_same_files_and_another_gives_others(tmp_path):
    one, same, other = (
        write_synthetic(tmp_path / name, (30, 4), (3, 50), 80, seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for first, second, third in zip(one, same, other, strict=True):
        assert first.read_bytes() == second.read_bytes() != third.read_bytes()
    pools = study_pools(paper_data=tmp_path / "a")
    assert list(pools) == ["synthetic world"] or len(pools) == 1
    train = brm.load_pool(one[0])
    assert (len(train), train.dim, train.n_prompts) == (120, 80, 30)
    assert train.embeddings.dtype == np.float16
    with pytest.raises(InvalidInputError, match="float16 or float32"):
        write_synthetic(tmp_path, (3, 4), (3, 4), 5, dtype=np.float64)
    with pytest.raises(InvalidInputError, match="sizes of at least 1"):
        write_synthetic(tmp_path, (0, 4), (3, 4), 5)


def test_its_rewards_have_their_scale_and_can_be_learned(tmp_path):
    train, test = write_synthetic(tmp_path, (400, 10), (40, 20), 16, dtype=np.float32)
    golden = brm.load_golden(train)
    assert golden.std() == pytest.approx(1.6, abs=0.25)
    tree = brm.run(
        brm.load_pool(train),
        brm.GoldenAnnotator(golden),
        test=(brm.load_pool(test), brm.load_golden(test)),
        model=brm.RewardModel(16, "linear"),
        inference="laplace",
        design="random",
        batch_size=400,
        rounds=1,
    )
    assert float(tree["trajectory"]["one_minus_spearman"][0]) < 0.35
