"""New responses far outside of the pool of the fit: told of wherever they are scored, and scored as before."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.models.far_out import warn_far_out

DIM = 6
SAID = r"^1 of 24 responses lie over 10 times as far out as those of the pool of the fit, up to [0-9,]+ times,"


def _pool(seed: int, far: float = 1.0, rows: int = 24, column: int | slice = slice(None)) -> brm.ResponsePool:
    embeddings = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    embeddings[5, column] *= far
    return brm.ResponsePool(embeddings, np.arange(rows) // 4)


@pytest.fixture(scope="module", params=["laplace", "plugin", "ensemble"])
def posterior(request):
    pool = _pool(0)
    first = np.arange(0, 24, 2)
    labels = brm.Preferences(first, first + 1, np.arange(12) % 2)
    settings = brm.inference.Ensemble(members=3) if request.param == "ensemble" else request.param
    return brm.fit(brm.RewardModel(DIM, "linear", prior_scale=0.5), pool, labels, settings)


@pytest.mark.parametrize("far", [1000.0, 1e8])
def test_whatever_scores_says_how_many_responses_lie_how_far_out(posterior, far):
    new = _pool(1, far)
    golden = np.arange(24.0)
    for score in (
        lambda: posterior.reward(new),
        lambda: brm.evaluate(posterior, new, golden),
    ):
        with pytest.warns(UserWarning, match=SAID) as said:
            score()
        assert len(said) == 1


def test_so_do_intervals_and_those_of_a_pair_whose_consensus_is_asked_for(posterior):
    if posterior.inference != "laplace":
        pytest.skip("only posteriors of the last layer that know their evidence are quick at it")
    new = _pool(1, 1000.0)
    for score in (
        lambda: posterior.predictive_interval(new),
        lambda: posterior.reward(new),
    ):
        with pytest.warns(UserWarning, match=SAID) as said:
            score()
        assert len(said) == 1
    with pytest.warns(UserWarning, match="^1 of 3 responses lie over 10 times"):
        posterior.consensus_probability(new, [5, 5], [1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior.consensus_probability(new, [0], [1])


def test_probabilities_of_pairs_are_of_their_responses_alone(posterior):
    """Neither a response that is not in a pair nor its distance is looked at."""
    new = _pool(1, 1000.0)
    with pytest.warns(UserWarning, match="^1 of 3 responses lie over 10 times") as said:
        posterior.preference_probability(new, [5, 5], [1, 2])
    assert len(said) == 1
    read = []
    rows = new.rows

    class Watched(brm.ResponsePool):
        def rows(self, at):
            read.extend(np.asarray(at).tolist())
            return rows(at)

    watched = Watched(new.embeddings, new.prompt)
    read.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior.preference_probability(watched, [0], [1])
    assert set(read) == {0, 1}


def test_an_exported_model_says_the_same_and_scores_the_same(posterior, tmp_path):
    new = _pool(1, 1000.0)
    brm.save_reward_model(tmp_path / "saved", posterior)
    loaded = brm.load_reward_model(tmp_path / "saved")
    for score in (
        loaded.reward,
        loaded.moments,
        loaded.lower_bound,
        lambda x: loaded.preference_probability(x, x),
    ):
        with pytest.warns(UserWarning, match=SAID):
            score(new)
    with pytest.warns(UserWarning, match=SAID):
        mean, _ = loaded.reward(new)
    with pytest.warns(UserWarning, match=SAID):
        expected, _ = posterior.reward(new)
    np.testing.assert_allclose(mean - mean.mean(), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_ordinary_responses_are_scored_without_a_word_and_as_the_formula_has_it(posterior):
    for pool in (posterior.pool, _pool(1), _pool(2, 3.0)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mean, _ = posterior.reward(pool)
        if posterior.inference == "laplace":
            rewards = (posterior.features(pool) @ posterior.location).numpy()
            np.testing.assert_allclose(mean, rewards - rewards.mean(), rtol=0, atol=1e-12)


def test_the_distance_is_a_root_mean_square_over_dimensions_that_are_alive():
    """One column alone counts by its share; a dead one not at all."""
    rows = np.random.default_rng(0).normal(size=(60, DIM)).astype(np.float32)
    rows[:, 2] = 7.0
    fitted = brm.ResponsePool(rows, np.arange(60) // 4)
    model = brm.RewardModel(DIM, "linear")
    model.fit_pool(fitted)
    alive = [0, 1, 3, 4, 5]
    mean, sd = rows[:, alive].mean(axis=0), rows[:, alive].std(axis=0)
    row = mean + sd * np.array([0.0, 0.0, 0.0, 0.0, 50.0])
    for value in (7.0, 1e6):
        new = np.insert(row, 2, value)[None].astype(np.float32)
        with pytest.warns(UserWarning, match=f"up to {50 / 5**0.5:.0f} times"):
            warn_far_out(model.encoder, brm.ResponsePool(new, [0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        near = np.insert(mean + 0.4 * (row - mean), 2, 1e6)[None].astype(np.float32)
        warn_far_out(model.encoder, brm.ResponsePool(near, [0]))
        raw = brm.RewardModel(DIM, "linear", inputs="raw")
        raw.fit_pool(fitted)
        warn_far_out(raw.encoder, _pool(1, 1e6))


def test_looking_leaves_the_embeddings_as_they_are():
    """Distances are computed in place, in copies of rows."""
    model = brm.RewardModel(DIM, "linear")
    model.fit_pool(_pool(0, 1000.0, rows=60))
    assert model.encoder.standardize.clips
    new = _pool(1, 1e6)
    warn_far_out(model.encoder, new)
    np.testing.assert_array_equal(new.embeddings, _pool(1, 1e6).embeddings)


def test_what_the_pool_of_the_fit_had_far_out_is_clipped_in_new_responses_too():
    pool, new = _pool(0, 1000.0, rows=60), _pool(1, 1000.0)
    labels = brm.Preferences(np.arange(0, 40, 4), np.arange(1, 41, 4), np.arange(10) % 2)
    posterior = brm.fit(brm.RewardModel(DIM, "linear", prior_scale=0.5), pool, labels)
    mean, sd = posterior.reward(new)
    assert np.abs(mean[5]) < 10
    assert sd[5] < 10


def test_one_response_far_out_in_a_large_pool_is_clipped_whether_or_not_a_sample_has_it():
    """The usual range is that of 2,048 responses; what is far is looked for in all that the statistics are from."""
    pool = _pool(0, 1000.0, rows=3000)
    assert 5 not in np.linspace(0, 2999, 2048).round()
    model = brm.RewardModel(DIM, "linear")
    model.fit_pool(pool)
    standardize = model.encoder.standardize
    assert standardize.clips
    plain = _pool(0, rows=3000).rows(np.arange(3000))
    np.testing.assert_allclose(1 / standardize.inverse_scale.numpy(), plain.std(axis=0), rtol=0.01)
