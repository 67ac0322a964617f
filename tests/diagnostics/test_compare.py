"""Comparison of posteriors by evidence and leave-one-out, against refits without a label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.inference.nuts import Nuts


def _fit(world, preferences=None, inference="laplace", **settings) -> brm.RewardPosterior:
    model = brm.RewardModel(world.pool.dim, **({"encoder": "linear", "prior_scale": 0.5} | settings))
    return brm.fit(model, world.pool, world.preferences if preferences is None else preferences, inference, seed=1)


def _without_each(world, preferences: brm.Preferences, **settings) -> np.ndarray:
    """log P of every answer (of weight v: v times) by the posterior of all other rows, fitted again."""
    found = []
    for k in range(len(preferences)):
        others = preferences[np.delete(np.arange(len(preferences)), k)]
        draws = _fit(world, others, **settings).to_datatree(4000)["posterior"]["beta"].values.reshape(4000, -1)
        features = _fit(world, others, **settings).features(world.pool).numpy()
        logit = draws @ (features[preferences.first[k]] - features[preferences.second[k]])
        answered = 1 / (1 + np.exp(-(2 * preferences.outcome[k] - 1) * logit))
        found.append(np.log(np.mean(answered ** preferences.weight[k])))
    return np.array(found)


@pytest.mark.parametrize("weighted", [False, True])
def test_against_fits_without_a_label(world, weighted):
    labels = world.preferences[:40]
    labels = replace(labels, weight=np.where(np.arange(40) % 4, 1.0, 3.0) if weighted else np.ones(40))
    settings = {"near": {"prior_scale": 0.3}, "wide": {"prior_scale": 1.0}}
    table = brm.compare({name: _fit(world, labels, **each) for name, each in settings.items()}, draws=4096)
    exact = {name: _without_each(world, labels, **each) for name, each in settings.items()}
    for name, pointwise in exact.items():
        # Laplace of all labels, reweighted, is not Laplace of the others: about a tenth of a nat over 40 of them.
        assert table.loc[name, "elpd_loo"] == pytest.approx(pointwise.sum(), abs=0.6 if weighted else 0.3)
        assert table.loc[name, "se"] == pytest.approx(np.sqrt(40) * pointwise.std(ddof=1), rel=0.1)
    behind = (exact["wide"] - exact["near"]).sum() * (1 if table.index[0] == "near" else -1)
    assert table["difference"].iloc[0] == table["difference_se"].iloc[0] == 0
    assert table["difference"].iloc[1] == pytest.approx(behind, abs=0.4)
    assert table["weight"].sum() == pytest.approx(1)


@pytest.mark.usefixtures("short_variational")
def test_inferences_of_one_model_are_one_and_a_poor_model_is_behind(world):
    posteriors = {
        "Laplace": _fit(world),
        "SVI": _fit(world, inference="svi"),
        "NUTS": _fit(world, inference=Nuts(chains=2, draws=400, warmup=100)),
        "knows nothing": _fit(world, prior_scale=0.01),
    }
    table = brm.compare(posteriors)
    assert list(table.columns) == [
        "log_evidence", "elpd_loo", "se", "difference", "difference_se", "p_loo", "weight", "worst_k",
    ]  # fmt: skip
    assert table.index[-1] == "knows nothing"
    assert table["difference"].iloc[-1] < -2 * table["difference_se"].iloc[-1]
    assert table["weight"].iloc[-1] < 0.1
    assert (table["difference"].iloc[:3] > -0.6).all()
    for name in ("Laplace", "SVI", "knows nothing"):
        assert table.loc[name, "log_evidence"] == posteriors[name].log_evidence
    assert np.isnan(table.loc["NUTS", "log_evidence"])
    assert table["worst_k"].max() < 0.7
    # Six weights that the labels determine, and nearly none.
    assert 3 < table.loc["NUTS", "p_loo"] < 8
    assert table.loc["knows nothing", "p_loo"] < 1


def test_trees_are_taken_as_they_are(world):
    posteriors = {"near": _fit(world), "wide": _fit(world, prior_scale=2.0)}
    trees = {name: each.to_datatree(1024, seed=0, log_likelihood=True) for name, each in posteriors.items()}
    assert brm.compare(trees).equals(brm.compare(posteriors))


def test_of_rankings_choices_are_left_out(world):
    ranked = brm.Preferences.from_rankings([[0, 1, 2], [3, 4, 5], [2, 5, 6, 7]])
    fitted = {
        str(scale): _fit(world, ranked, likelihood="plackett-luce", prior_scale=scale) for scale in (0.1, 0.3)
    }
    table = brm.compare(fitted)
    for name in fitted:
        # Two choices in the first and second ranking, three in the third.
        exact = 0.0
        for k in range(7):
            others = ranked[np.flatnonzero(ranked.choice != k)]
            left = _fit(world, others, likelihood="plackett-luce", prior_scale=float(name))
            beta = left.to_datatree(4000)["posterior"]["beta"].values.reshape(4000, -1)
            rewards = beta @ left.features(world.pool).numpy().T
            of_choice = ranked.choice == k
            beaten = rewards[:, ranked.second[of_choice]] - rewards[:, ranked.first[of_choice]]
            exact += np.log(np.mean(1 / (1 + np.exp(beaten).sum(axis=1))))
        assert table.loc[name, "elpd_loo"] == pytest.approx(exact, abs=0.1)


def test_ties_are_compared_with_ties(world):
    outcome = world.preferences.outcome.copy()
    outcome[::5] = 0.5
    tied = brm.Preferences(world.preferences.first, world.preferences.second, outcome)
    ties = {name: _fit(world, tied, likelihood=name) for name in ("davidson", "rao-kupper")}
    assert np.isfinite(brm.compare(ties)["elpd_loo"]).all()
    with pytest.raises(InvalidInputError, match="some of these have ties and some have not"):
        brm.compare(ties | {"half labels": _fit(world, tied)})


def test_what_cannot_be_compared_is_refused(world):
    posterior = _fit(world)
    with pytest.raises(InvalidInputError, match="at least two posteriors to compare, got 1"):
        brm.compare({"one": posterior})
    with pytest.raises(InvalidInputError, match=r"those of one \(150\) and two \(149\) differ"):
        brm.compare({"one": posterior, "two": _fit(world, world.preferences[:149])})
    flipped = replace(world.preferences, outcome=1 - world.preferences.outcome)
    with pytest.raises(InvalidInputError, match="fit both to the same preferences"):
        brm.compare({"one": posterior, "two": _fit(world, flipped)})
    with pytest.raises(CapabilityError, match=r"two \(plugin\) is a point"):
        brm.compare({"one": posterior, "two": _fit(world, inference="plugin")})
    with pytest.raises(InvalidInputError, match="two has none: make it with"):
        brm.compare({"one": posterior, "two": posterior.to_datatree(30)})
    with pytest.raises(InvalidInputError, match="at least two labels to leave out one by one, got 0"):
        brm.compare({name: _fit(world, brm.Preferences.none()) for name in ("one", "two")})
