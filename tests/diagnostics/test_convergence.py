"""The verdict on chains: those that have converged are not blamed for chance, those that have not are found."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import chi2

from bayesrm.diagnostics.arviz_lines import r_hat
from bayesrm.diagnostics.convergence import MAX_R_HAT, convergence, r_hat_limit
from bayesrm.diagnostics.finding import Finding


def _chains(seed: int, chains: int, draws: int, quantities: int, correlation: float) -> np.ndarray:
    """Stationary AR(1) chains of standard normal quantities."""
    x = np.random.default_rng(seed).standard_normal((chains, draws, quantities))
    for t in range(1, draws):
        x[:, t] = correlation * x[:, t - 1] + np.sqrt(1 - correlation**2) * x[:, t]
    return x


def _verdict(draws: np.ndarray, **attributes: int) -> Finding:
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"beta": (("chain", "draw", "feature"), draws)})})
    tree.attrs.update(attributes)
    return convergence(tree)


def test_converged_chains_of_many_quantities_are_not_blamed():
    """Stationary by construction: 64 quantities, R̂ above 1.01 in every one of ten runs, above the limit in none."""
    found = [_verdict(_chains(seed, 4, 250, 64, 0.3)) for seed in range(10)]
    worst = np.array([float(finding.data["r_hat"].max()) for finding in found])
    assert (worst > MAX_R_HAT).mean() > 0.8, "nothing to be excused here"
    assert [finding.status for finding in found].count("bad") <= 1
    assert any("of 64 quantities up to 1.0" in finding.sentence for finding in found)


@pytest.mark.parametrize("which", [slice(0, 1), slice(None)], ids=["one quantity", "all quantities"])
def test_a_chain_that_is_elsewhere_is_found(which):
    draws = _chains(0, 4, 250, 64, 0.3)
    draws[0, :, which] += 0.6
    assert _verdict(draws).status == "bad"


def test_the_limit_is_where_chance_ends():
    """The 99% quantile of the largest R̂ of 20 quantities, simulated, lies below the limit and not far below."""
    generator = np.random.default_rng(1)
    largest = [max(r_hat(generator.standard_normal((4, 100))) for _ in range(20)) for _ in range(100)]
    limit = r_hat_limit(4, 100, 400.0, 20)
    assert np.mean(np.array(largest) > limit) <= 0.03
    assert limit - 1 < 1.6 * (np.quantile(largest, 0.99) - 1)


def test_the_limit_by_hand():
    """√(1 − 1/n + (M/S) q / (M − 1)), q what χ²_{M−1} passes with 0.01/(2K): 8 halves of 50 draws, K = 5."""
    q = 24.3219
    assert chi2.sf(q, 7) == pytest.approx(0.01 / 10, rel=1e-4)
    assert r_hat_limit(4, 100, 400.0, 5) == pytest.approx(np.sqrt(1 - 1 / 50 + 8 / 400 * q / 7), rel=1e-6)


def test_the_limit_of_many_draws_is_the_usual_one_and_few_draws_excuse_nothing():
    assert r_hat_limit(4, 10_000, 40_000.0, 100) == MAX_R_HAT
    assert r_hat_limit(4, 500, 8.0, 64) == r_hat_limit(4, 500, 400.0, 64) < 1.05


def test_what_the_sampler_met_is_in_the_verdict():
    draws = _chains(2, 4, 500, 3, 0.0)
    assert _verdict(draws).status == "good"
    assert _verdict(draws, divergences=3).status == "bad"
    assert "3 divergences" in _verdict(draws, divergences=3).sentence
    cut = _verdict(draws, max_treedepth_hits=7)
    assert cut.status == "note"
    assert "7 trajectories" in cut.sentence


def test_few_effective_draws():
    assert _verdict(_chains(3, 4, 60, 2, 0.0)).status == "note"
    alone = _verdict(_chains(3, 1, 60, 2, 0.0))
    assert alone.status == "skipped"
