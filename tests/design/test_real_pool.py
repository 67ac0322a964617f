"""What was measured on a real pool still holds; skipped where the pool is not beside the repository."""

from __future__ import annotations

import functools

import pytest

import bayesrm as brm

LABELS = 500


@pytest.fixture(scope="module")
def one_minus_spearman(real_pool_folder):
    """By encoder, after random pairs within prompts and an annotator of temperature 2."""
    pool, golden = brm.load_pool(real_pool_folder / "pool"), brm.load_golden(real_pool_folder / "pool")
    test, test_golden = brm.load_pool(real_pool_folder / "test"), brm.load_golden(real_pool_folder / "test")

    @functools.cache
    def measure(
        encoder: str, inference: str, scope: str = "within-prompt", labels: int = LABELS, seed: int = 0
    ) -> float:
        candidates = brm.candidates(pool, scope, prompts=None, size=labels, seed=seed)
        preferences = brm.GoldenAnnotator(golden, temperature=2.0, seed=seed).label(candidates)
        posterior = brm.fit(brm.RewardModel(pool.dim, encoder), pool, preferences, inference, seed=0)
        return brm.evaluate(posterior, test, test_golden, 2.0)["one_minus_spearman"]

    return measure


def test_evidence_keeps_a_linear_model_from_overfitting(one_minus_spearman):
    assert one_minus_spearman("linear", "laplace") < 0.64
    assert one_minus_spearman("linear", "plugin") > 0.70, "without a prior the same model overfits"


@pytest.mark.parametrize("inference", ["plugin", "laplace"])
def test_the_mlp_stopped_early_does_not_lose_to_the_linear_model(one_minus_spearman, inference):
    assert one_minus_spearman("mlp", inference) < one_minus_spearman("linear", "laplace") + 0.03


def test_auto_ranks_as_it_did_when_it_was_measured(one_minus_spearman):
    """With these four seeds it was at .524 within prompts and at .537 across; over eight at .519 and .595."""
    for scope in ("within-prompt", "cross-prompt"):
        found = [one_minus_spearman("auto", "laplace", scope, labels=300, seed=seed) for seed in range(4)]
        assert sum(found) / 4 < 0.57, scope


@pytest.mark.parametrize(("scope", "paper"), [("within-prompt", 0.689), ("cross-prompt", 0.659)])
def test_125_labels_with_the_defaults_beat_the_papers_best_after_1125(real_pool_folder, scope, paper):
    """With 5 seeds each: .556 ± .024 within prompts and .562 ± .020 across them, at worst .63."""
    pool, golden = brm.load_pool(real_pool_folder / "pool"), brm.load_golden(real_pool_folder / "pool")
    test = brm.load_pool(real_pool_folder / "test"), brm.load_golden(real_pool_folder / "test")
    annotator = brm.GoldenAnnotator(golden, temperature=2.0, seed=0)
    model = brm.RewardModel(pool.dim, encoder="auto")
    tree = brm.run(pool, annotator, test, model, scope=scope, batch_size=62, rounds=2, progress=False)
    assert float(tree["trajectory"]["one_minus_spearman"][-1]) < paper - 0.03
    first, second = tree["selection"]["first"].values, tree["selection"]["second"].values
    assert (pool.group[first] == pool.group[second]).all(), "the default asks about pairs within prompts first"
