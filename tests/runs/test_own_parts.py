"""Parts of a user's own in a run: a folder of results is of their settings and code, and of no others."""

from __future__ import annotations

import copy
import json
from functools import partial

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import bayesrm as brm
from bayesrm.design import CRITERIA, SELECTORS
from bayesrm.design.objectives.base import SumObjective
from bayesrm.errors import InvalidInputError
from bayesrm.inference import INFERENCES, Laplace
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry


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


def _program(scale, levels=(0.0, 1.0), link=torch.sigmoid):
    def biased(features, first, second, outcome=None):
        beta = pyro.sample("beta", dist.Normal(0.0, scale).expand([features.shape[-1]]).to_event(1))
        reward = features @ beta
        with pyro.plate("comparison", len(first)):
            p = link(levels[0] + levels[1] * (reward[first] - reward[second]))
            return pyro.sample("outcome", dist.Bernoulli(p), obs=outcome)

    return biased


def _also_sigmoid(x):
    return torch.sigmoid(2 * x)


@pytest.mark.parametrize(
    "other",
    [_program(0.5), _program(0.3, (0.2, 1.0)), _program(0.3, link=_also_sigmoid), partial(_program(0.3))],
    ids=["number", "tuple", "function", "partial"],
)
def test_code_and_constants_of_a_program(again, other):
    one, same, another = (
        {"model": brm.RewardModel(4, "linear", program=program)}
        for program in (_program(0.3), _program(0.3), other)
    )
    _refused(again, "model", one, another, same)


class Activated(torch.nn.Module):
    """One layer, and what follows."""

    def __init__(self, slope=0.5):
        super().__init__()
        self.layer, self.slope = torch.nn.Linear(4, 3), slope
        torch.nn.init.ones_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)

    def forward(self, x):
        return torch.tanh(self.slope * self.layer(x))


class Rectified(Activated):
    """The same layer."""

    def forward(self, x):
        return torch.relu(self.slope * self.layer(x))


def _layers(last):
    return torch.nn.Sequential(Activated().layer, last)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_layers(torch.nn.Tanh()), _layers(torch.nn.ReLU())),
        (_layers(torch.nn.LeakyReLU(0.1)), _layers(torch.nn.LeakyReLU(0.2))),
        (torch.nn.Sequential(Activated()), torch.nn.Sequential(Rectified())),
        (Activated(0.5), Activated(0.6)),
    ],
    ids=["layers", "slope", "code", "setting"],
)
def test_an_encoder_is_more_than_its_weights(one, other):
    described = [brm.RewardModel(4, each).describe() for each in (one, copy.deepcopy(one), other)]
    assert described[0] == described[1]
    assert described[0]["encoder_sha256"] != described[2]["encoder_sha256"]


class Spread(BradleyTerry):
    """With settings of every kind."""

    name = "own-spread"

    def __init__(self, levels=(1.0, 2.0), weight=None):
        self.levels, self.weight = levels, weight


@pytest.mark.parametrize("changes", [{"levels": (1.0, 3.0)}, {"weight": np.ones(2)}, {"weight": torch.ones(3)}])
def test_settings_of_a_likelihood(again, changes):
    one, same, other = (
        {"model": brm.RewardModel(4, "linear", likelihood=Spread(**each))} for each in ({}, {}, changes)
    )
    _refused(again, "model", one, other, same)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_likelihoods_of_bayesrm_are_described_as_ever(name):
    likelihood = LIKELIHOODS[name]()
    usual = {key: each for key, each in vars(likelihood).items() if isinstance(each, int | float | str)}
    expected = {"name": "graded", "grades": 7} if name == "graded" else {"name": name, **usual}
    assert likelihood.describe() == expected


class Oracle:
    """No Annotator, and it counts."""

    def __init__(self, golden, noise=0.0, words=("left", "right")):
        self.golden, self.noise, self.words, self.calls = golden, noise, words, 0

    def label(self, pairs):
        self.calls += 1
        return brm.Preferences(pairs.first, pairs.second, self.golden[pairs.first] > self.golden[pairs.second])


class Derived(brm.Annotator):
    """An Annotator that does not describe itself."""

    def __init__(self, golden, noise=0.0, words=("left", "right")):
        self.oracle = Oracle(golden)
        self.noise, self.words = noise, words

    def label(self, pairs):
        return self.oracle.label(pairs)


class Glancing(brm.GoldenAnnotator):
    """Derived from one that describes itself, without what is new."""

    def __init__(self, golden, noise=0.0, words=("left", "right")):
        super().__init__(golden)
        self.noise, self.words = noise, words


GOLDEN = np.random.default_rng(3).standard_normal(60)


@pytest.mark.parametrize("kind", [Oracle, Derived, Glancing])
@pytest.mark.parametrize("changes", [{"noise": 0.1}, {"words": ("a", "b")}], ids=["number", "tuple"])
def test_attributes_of_an_annotator(again, kind, changes):
    one, other = {"annotator": kind(GOLDEN)}, {"annotator": kind(GOLDEN, **changes)}
    _refused(again, "annotator", one, other)


def test_an_annotator_that_describes_itself_says_all(again):
    class Said(Oracle, brm.Annotator):
        def describe(self):
            return super().describe() | {"noise": self.noise}

    tree = again(annotator=Said(GOLDEN, noise=0.2))
    assert json.loads(tree.attrs["configuration"])["annotator"] == {"annotator": "Said", "noise": 0.2}


def test_keys_of_services_are_not_kept(again, tmp_path):
    class Service(Oracle):
        def __init__(self, golden):
            super().__init__(golden)
            self.api_key, self.headers, self.max_tokens = "sk-123", {"Authorization": "sk-123", "kind": "json"}, 20

    tree = again(annotator=Service(GOLDEN))
    settings = json.loads(tree.attrs["configuration"])["annotator"]["settings"]
    assert (settings["headers"], settings["max_tokens"]) == ({"kind": "json"}, 20)
    assert "sk-123" not in (tmp_path / "run/run.json").read_text()


def test_annotators_of_bayesrm_are_described_as_ever(again):
    annotator = brm.GoldenAnnotator(GOLDEN, seed=1)
    tree = again(annotator=annotator)
    assert json.loads(tree.attrs["configuration"])["annotator"] == annotator.describe()


def _cost(a):
    return lambda first, second: 1.0 + a * (first + second)


@pytest.mark.parametrize(
    "other", [_cost(2.0), lambda first, second: 2.0 + (first + second)], ids=["closure", "code"]
)
def test_code_of_a_cost(again, other):
    _refused(again, "cost", {"cost": _cost(1.0)}, {"cost": other}, {"cost": _cost(1.0)})
