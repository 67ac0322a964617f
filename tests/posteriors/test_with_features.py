"""What criteria that require features say to a posterior that has none, whatever it promises."""

from __future__ import annotations

import pytest

import bayesrm as brm
from bayesrm.design import CRITERIA
from bayesrm.errors import CapabilityError
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.last_layer import with_features


class Promising(RewardPosterior):
    """Rewards of its own, and features only in what it says of itself."""

    provides = frozenset({"spread", "features"})
    inference = "mine"

    def __init__(self, known: RewardPosterior) -> None:
        self.model, self.pool, self.preferences = known.model, known.pool, known.preferences
        self._known = known

    def reward_moments(self, pool, responses=None):
        return self._known.reward_moments(pool, responses)

    def sample_rewards(self, pool, responses, draws, generator):
        return self._known.sample_rewards(pool, responses, draws, generator)

    def entropy(self):
        return self._known.entropy()

    def condition(self, preferences):
        return Promising(self._known.condition(preferences))

    def to_datatree(self, draws=1024, seed=0, log_likelihood=False, responses=None):
        return self._known.to_datatree(draws, seed, log_likelihood, responses)


def test_a_posterior_with_features_is_taken_as_it_is(laplace, plugin):
    assert with_features(laplace) is laplace
    assert with_features(plugin) is plugin


@pytest.mark.parametrize(
    "name", ["dopt", "xtx", "aopt", "coreset", "paper-dopt", "paper-pa-dopt", "paper-xtx", "paper-coreset"]
)
def test_a_promise_that_is_not_kept_is_one_sentence(laplace, name):
    assert "features" in CRITERIA[name].requires
    posterior = Promising(laplace)
    with pytest.raises(CapabilityError, match=r"expected a posterior over the last layer .* got Promising"):
        brm.select(posterior, brm.candidates(posterior.pool, seed=0), name, size=3)
