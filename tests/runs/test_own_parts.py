"""Parts of a user's own in a run: a folder of results is of their settings and code, and of no others."""

from __future__ import annotations

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.design import CRITERIA, SELECTORS
from bayesrm.design.objectives.base import SumObjective
from bayesrm.errors import InvalidInputError
from bayesrm.inference import INFERENCES, Laplace


@pytest.fixture
def again(tmp_path):
    """Runs into one folder, again and again."""
    random = np.random.default_rng(3)
    embeddings = random.standard_normal((60, 4))
    golden = embeddings @ random.standard_normal(4)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(10), 6))

    def run(**changes):
        settings = {"annotator": brm.GoldenAnnotator(golden, seed=1), "design": "random", **changes}
        settings = {"model": brm.RewardModel(4, "linear"), **settings}
        return brm.run(pool, batch_size=4, rounds=1, draws=4, out=tmp_path / "run", **settings)

    return run


def _refused(again, key, one, other, same=None):
    """The second run of one part, or of its equal, opens the results; another part is refused by the key."""
    again(**one)
    again(**(one if same is None else same))
    with pytest.raises(InvalidInputError, match=f"another configuration: {key} is"):
        again(**other)


class Variance(brm.Criterion):
    """Pairs whose difference of rewards is least known, to a power."""

    name = "own-variance"
    requires = frozenset({"spread"})
    default_selector = "top"
    selects_itself = True

    def __init__(self, power=1.0, sizes=(1, 2), weight=None):
        self._power, self.sizes, self.weight = power, sizes, weight

    def objective(self, posterior, candidates):
        self.asked = len(candidates)
        moments = posterior.reward_moments(candidates.pool, candidates.responses)
        return SumObjective(lambda pairs: moments.of(pairs).variance ** self._power)


class FirstOfSeveral(brm.Selector):
    """A batch at random."""

    name = "own-several"

    def __init__(self, tries=10):
        self.tries = tries

    def choose(self, objective, candidates, size, generator):
        return np.sort(generator.choice(len(candidates), size, replace=False))


class Tempered(brm.Inference):
    """Laplace by another name."""

    name = "own-tempered"

    def __init__(self, power=0.5):
        self.power = power

    def fit(self, model, pool, preferences, seed, device):
        return Laplace().fit(model, pool, preferences, seed, device)


@pytest.mark.parametrize(
    "changes", [{"power": 2.0}, {"sizes": (1, 3)}, {"weight": np.ones(2)}], ids=["number", "tuple", "array"]
)
def test_settings_of_a_criterion(again, changes):
    _refused(again, "design_settings", {"design": Variance()}, {"design": Variance(**changes)})


def test_settings_of_a_criterion_at_other_values(again):
    one, same, other = ({"design": Variance(power)} for power in (2.0, 2.0, 3.0))
    _refused(again, "design_settings", one, other, same)


def test_settings_of_a_selector(again):
    one, other = ({"design": "random", "selector": FirstOfSeveral(tries)} for tries in (10, 20))
    _refused(again, "selector_settings", one, other)


def test_settings_of_an_inference(again):
    _refused(again, "inference_settings", {"inference": Tempered()}, {"inference": Tempered(0.7)})


@pytest.mark.parametrize(
    "registry", [CRITERIA, SELECTORS, INFERENCES], ids=["criteria", "selectors", "inferences"]
)
def test_parts_of_bayesrm_have_their_usual_settings_and_say_nothing(registry):
    assert {name: registry[name]().describe() for name in registry} == {name: {} for name in registry}
