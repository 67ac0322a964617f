"""A network beside a linear reward: what it starts from, when it stops, and what held-out labels say of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import bayesrm as brm
from bayesrm.diagnostics.sbc import frozen
from bayesrm.errors import CapabilityError, InvalidInputError
from bayesrm.inference.base import train_encoder
from bayesrm.inference.fitting import network_beside, shape
from bayesrm.inference.fitting.held_out import Folds, HeldOut, modes_without, predicted
from bayesrm.inference.fitting.prior_scale import prior_precision
from bayesrm.inference.fitting.training import FOLDS
from bayesrm.inference.nuts import Nuts
from bayesrm.models.encoders.layers_kernel import LayersKernel
from bayesrm.models.encoders.layers_kernel_mlp import LayersKernelMLP
from bayesrm.models.encoders.layers_mlp import INPUTS, SPREAD, LayersMLP

CPU = torch.device("cpu")
DIM = 24
BLOCKS = {"layer-0": slice(0, DIM), "layer-1": slice(DIM, 2 * DIM)}


def _pool(seed: int, prompts: int = 100) -> tuple[brm.ResponsePool, dict[str, np.ndarray]]:
    """Two layers that show the same numbers of a response; rewards that fold along one direction, and straight ones."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(prompts * 6, DIM))
    rows = np.concatenate([x, x + 0.1 * r.normal(size=x.shape)], axis=1).astype(np.float32)
    pool = brm.ResponsePool(
        rows, np.repeat(np.arange(prompts), 6), blocks=BLOCKS, covariates={"log_characters": r.normal(size=len(x))}
    )
    along = x[:, :4].sum(axis=1) / 2
    return pool, {"folded": -3.0 * np.abs(along), "straight": 2.0 * along}


def _labels(pool: brm.ResponsePool, golden: np.ndarray, count: int, seed: int = 2) -> brm.Preferences:
    return brm.GoldenAnnotator(golden, 1.0, seed).label(brm.candidates(pool, prompts=None, size=count, seed=seed))


@pytest.fixture(scope="module")
def world() -> tuple[brm.ResponsePool, dict[str, np.ndarray]]:
    return _pool(0)


@pytest.fixture(scope="module")
def unseen() -> tuple[brm.ResponsePool, dict[str, np.ndarray]]:
    return _pool(1)


@pytest.fixture(scope="module")
def folded(world) -> brm.RewardPosterior:
    pool, golden = world
    return brm.fit(brm.RewardModel(pool, "layers+mlp"), pool, _labels(pool, golden["folded"], 1000))


def test_it_ranks_what_folds_along_a_direction_as_no_other_shape_does(world, unseen, folded):
    pool, golden = world
    test, test_golden = unseen
    labels = _labels(pool, golden["folded"], 1000)
    ranked = {"layers+mlp": brm.evaluate(folded, test, test_golden["folded"])["one_minus_spearman"]}
    for encoder in ("layers", "layers+kernel", "layers+kernel+mlp", "auto"):
        posterior = brm.fit(brm.RewardModel(pool, encoder), pool, labels)
        ranked[encoder] = brm.evaluate(posterior, test, test_golden["folded"])["one_minus_spearman"]
    assert ranked["layers+mlp"] < ranked["layers+kernel"] - 0.2 < ranked["layers"] - 0.2
    for name in ("layers+kernel+mlp", "auto"):
        assert ranked[name] < ranked["layers+mlp"] + 0.02


@pytest.mark.parametrize(("factor", "name"), [(-1.0, "layers+mlp"), (1.0, "layers+kernel+mlp")])
def test_auto_fits_what_is_asked_for_by_name(world, monkeypatch, factor, name):
    pool, golden = world
    labels = _labels(pool, golden["folded"], 1000)
    monkeypatch.setattr(shape, "log_bayes_factor", lambda *_: factor)
    auto = brm.fit(brm.RewardModel(pool, "auto", prompt_intercept=False), pool, labels)
    assert auto.model.encoder.name == name
    assert torch.equal(auto.location, brm.fit(brm.RewardModel(pool, name), pool, labels).location)


def test_beside_a_process_it_is_the_network_that_stands_beside_the_linear_reward(world, folded):
    pool, _ = world
    both = brm.fit(brm.RewardModel(pool, "layers+kernel+mlp"), pool, folded.preferences)
    assert list(both.model.blocks) == ["layer-0", "layer-1", "mixed", "kernel", "mlp", "covariates"]
    with_process = brm.fit(brm.RewardModel(pool, "layers+kernel"), pool, folded.preferences)
    known = {name: scale for name, scale in both.model.prior_scale.items() if name != "mlp"}
    assert known == with_process.model.prior_scale
    for one, other in zip(both.model.encoder.network.weights, folded.model.encoder.network.weights, strict=True):
        assert torch.equal(one, other)


def test_a_straight_reward_stays_linear(world, unseen):
    pool, golden = world
    test, test_golden = unseen
    for seed in (3, 4, 5):
        labels = _labels(pool, golden["straight"], 300, seed)
        linear, both, auto = (
            brm.fit(brm.RewardModel(pool, encoder), pool, labels) for encoder in ("layers", "layers+mlp", "auto")
        )
        assert auto.model.encoder.name == "layers"
        ranked = [brm.evaluate(p, test, test_golden["straight"])["one_minus_spearman"] for p in (both, linear)]
        assert ranked[0] == pytest.approx(ranked[1], abs=0.01)


def test_networks_start_as_linear_rewards_that_have_not_seen_a_fold(world):
    pool, golden = world
    labels = _labels(pool, golden["straight"], 120)
    linear = train_encoder(brm.RewardModel(pool, "layers"), pool, labels, 0, CPU)
    both = linear.model.with_encoder("layers+mlp")
    both.encoder.fit_pool(pool)
    fold = Folds.of(linear.data, pool, labels, 0).number
    ends = {}

    class Watched(network_beside.Networks):
        def _train(self):
            ends["before"], ends["after"] = super()._train()
            return ends["before"], ends["after"]

    networks = Watched(network_beside.LinearStart.of(linear, both.encoder, pool, labels), 0)
    for k in range(FOLDS):
        those = np.flatnonzero((fold != k).numpy())
        model = brm.RewardModel(pool, "layers", prior_scale=linear.model.prior_scale)
        alone = brm.fit(model, pool, labels[those])
        torch.testing.assert_close(alone.location, networks._modes[k].beta, atol=1e-6, rtol=1e-6)
        held_out = linear.data.difference[fold == k]
        sign = 2 * linear.data.outcome[fold == k] - 1
        torch.testing.assert_close(
            ends["before"].log_prob[fold == k],
            torch.nn.functional.logsigmoid(sign * (held_out @ alone.location)),
            atol=1e-4,
            rtol=1e-4,
        )
    assert ends["after"].total >= ends["before"].total
    assert networks.helped == (ends["after"].total > ends["before"].total)


def test_what_is_said_of_held_out_labels_is_the_posterior_s_own(world):
    pool, golden = world
    labels = _labels(pool, golden["straight"], 120)
    linear = train_encoder(brm.RewardModel(pool, "layers"), pool, labels, 0, CPU)
    precision = prior_precision(linear, pool)
    folds = Folds.of(linear.data, pool, labels, 3)
    fold = folds.number
    found = predicted(linear, modes_without(linear, precision, folds), folds)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    for k in range(FOLDS):
        held_out = np.flatnonzero((fold == k).numpy())
        model = brm.RewardModel(pool, "layers", prior_scale=linear.model.prior_scale)
        alone = brm.fit(model, pool, labels[np.flatnonzero((fold != k).numpy())])
        z = linear.data.difference[held_out]
        mean = (z @ alone.location).numpy()
        sd = alone.whiten(z).square().sum(dim=1).sqrt().numpy()
        logit = (mean[:, None] + sd[:, None] * nodes) * (2 * labels.outcome[held_out] - 1)[:, None]
        averaged = np.log((1 / (1 + np.exp(-logit))) @ weights / weights.sum())
        np.testing.assert_allclose(found.log_prob[held_out], averaged, atol=5e-3)


def test_prompts_and_choices_are_held_out_whole(world):
    pool, golden = world
    lists = brm.GoldenAnnotator(golden["folded"], 2.0, 3).rank([members[:4] for members in pool.members])
    model = brm.RewardModel(pool, "layers", likelihood="plackett-luce", prior_scale=0.5)
    data = train_encoder(model, pool, lists, 0, CPU).data
    folds = Folds.of(data, pool, lists, 0)
    fold = folds.number.numpy()
    for members in (pool.group[lists.first], lists.choice):
        assert all(len(set(fold[members == k])) == 1 for k in np.unique(members))
    assert sorted(set(fold)) == list(range(FOLDS))
    for k in range(FOLDS):
        assert torch.equal(folds.seen[k], folds.number != k)
    log_prob = torch.linspace(-3, -1, len(lists.first), dtype=torch.float64)
    of_choices = [float(log_prob[lists.choice == k].sum()) for k in np.unique(lists.choice)]
    np.testing.assert_allclose(folds.held_out(log_prob).log_prob, of_choices)
    few = np.flatnonzero(pool.group[lists.first] < 3)
    of_few = Folds.of(train_encoder(model, pool, lists[few], 0, CPU).data, pool, lists[few], 0).number.numpy()
    assert all(len(set(of_few[lists[few].choice == k])) == 1 for k in np.unique(lists[few].choice))
    assert sorted(set(of_few)) == list(range(FOLDS))


def test_across_prompts_nothing_is_learnt_of_the_prompts_of_a_fold(world):
    pool, golden = world
    asked = brm.candidates(pool, "cross-prompt", prompts=None, size=300, seed=1)
    labels = brm.GoldenAnnotator(golden["straight"], 1.0, 1).label(asked)
    folds = Folds.of(train_encoder(brm.RewardModel(pool, "layers"), pool, labels, 0, CPU).data, pool, labels, 0)
    for k in range(FOLDS):
        held = set(pool.group[labels.first[folds.unseen(k).numpy()]])
        learnt = labels[np.flatnonzero(folds.seen[k].numpy())]
        assert not held & {*pool.group[learnt.first], *pool.group[learnt.second]}
        assert len(learnt) > 100


def test_better_is_by_standard_errors_of_the_difference():
    one, other = HeldOut(torch.tensor([-1.0, -1.0, -1.0, -1.0])), HeldOut(torch.tensor([-2.0, -1.0, -2.0, -1.0]))
    error = float(torch.tensor([1.0, 0.0, 1.0, 0.0]).std()) * 2
    assert one.better_than(other, 1.99 / error)
    assert not one.better_than(other, 2.01 / error)
    assert not one.better_than(one, 0.0)


def test_with_few_labels_there_is_no_network(world):
    pool, golden = world
    labels = _labels(pool, golden["folded"], 15)
    for without in ("layers", "layers+kernel"):
        linear, both = (brm.fit(brm.RewardModel(pool, e), pool, labels) for e in (without, f"{without}+mlp"))
        np.testing.assert_allclose(both.reward(pool)[0], linear.reward(pool)[0], atol=1e-6)
        assert both.log_evidence == pytest.approx(linear.log_evidence, abs=1e-6)
        assert not both.learns_features


def test_laplace_on_features_of_a_network_agrees_with_nuts(world):
    """Beside layers and a process: given the network, its features are like any others."""
    pool, golden = world
    labels = _labels(pool, golden["folded"], 1000)
    model = brm.RewardModel(pool, LayersKernelMLP(2 * DIM, features=20, network=(64, 16), input_blocks=BLOCKS))
    laplace, nuts = (
        brm.fit(model, pool, labels, inference, seed=1)
        for inference in ("laplace", Nuts(chains=2, draws=300, warmup=100))
    )
    of_network = laplace.model.blocks["mlp"]
    learnt, prior_sd = laplace.location[of_network], laplace.prior_precision[of_network].rsqrt()
    assert float((learnt / prior_sd).square().sum()) > 16, "it has learnt something"
    asked = brm.candidates(pool, size=100, seed=9)
    pairs = brm.Comparisons(asked.first, asked.second)
    (m, v), (other, w) = laplace.logit_moments(pool, pairs), nuts.logit_moments(pool, pairs)
    assert abs(float((v / w).sqrt().median()) - 1) < 0.1
    assert float(((m - other) / w.sqrt()).abs().mean()) < 0.25


def test_no_label_of_a_fold_reaches_what_is_said_of_it(world, monkeypatch):
    pool, golden = world
    labels = _labels(pool, golden["folded"], 200)
    scales = {
        "layers": dict.fromkeys(["layer-0", "layer-1", "mixed", "covariates"], 0.5),
        "layers+kernel": dict.fromkeys(["layer-0", "layer-1", "mixed", "kernel", "covariates"], 0.5),
    }
    steps = iter(range(10**6))
    later = cached_property(lambda _: next(steps))  # each is better than the one before, whatever labels say
    later.__set_name__(HeldOut, "total")
    monkeypatch.setattr(HeldOut, "total", later)
    monkeypatch.setattr(network_beside, "MAX_STEPS", 21)

    def told(outcome):
        prefs = replace(labels, outcome=outcome)
        linear, with_process = (
            train_encoder(brm.RewardModel(pool, name, prior_scale=known), pool, prefs, 0, CPU)
            for name, known in scales.items()
        )
        both = linear.model.with_encoder("layers+kernel+mlp")
        both.encoder.fit_pool(pool)
        start = network_beside.LinearStart.of(linear, both.encoder, pool, prefs)
        networks = network_beside.Networks(start, 7)
        with_network = networks.beside(with_process, both, 0.1).held_out
        return networks, [networks.held_out(linear), networks.held_out(with_process), with_network]

    networks, first = told(labels.outcome)
    fold = 2
    unseen = networks._folds.unseen(fold)
    changed, second = told(np.where(unseen.numpy(), 1 - labels.outcome, labels.outcome))
    for one, other in zip(networks._weights, changed._weights, strict=True):
        # Searches for a mode begin where all labels put it, and end within 1e-9 sd of it.
        torch.testing.assert_close(one[fold], other[fold], atol=1e-5, rtol=0)
        assert not torch.allclose(one[-1], other[-1], atol=1e-3, rtol=0)
    for one, other in zip(first, second, strict=True):
        either = one.log_prob[unseen].exp() + other.log_prob[unseen].exp()
        torch.testing.assert_close(either, torch.ones_like(either), atol=1e-6, rtol=0)


def test_the_scale_is_the_smallest_that_is_as_good_as_the_best(world):
    pool, golden = world
    smaller = 0
    for seed in (3, 4):
        labels = _labels(pool, golden["folded"], 300, seed)
        linear = train_encoder(brm.RewardModel(pool, "layers"), pool, labels, 0, CPU)
        both = linear.model.with_encoder("layers+mlp")
        both.encoder.fit_pool(pool)
        start = network_beside.LinearStart.of(linear, both.encoder, pool, labels)
        networks = network_beside.Networks(start, 0)
        found = networks.beside(linear, both)
        chosen, at = both.prior_scale["mlp"], both.blocks["mlp"]
        usual = network_beside._usual_scale(found.trained.data.difference[:, at], networks._b[-1])
        tried = {usual * m: networks.beside(linear, both, usual * m).held_out for m in network_beside.MULTIPLES}
        best = max(tried.values(), key=lambda held_out: held_out.total)
        as_good = [scale for scale, held_out in tried.items() if not best.better_than(held_out, 1.0)]
        assert chosen == min(as_good)
        torch.testing.assert_close(found.held_out.log_prob, tried[chosen].log_prob)
        smaller += found.held_out.total < best.total
    assert smaller  # so that it is not the best that is taken


def test_settings_of_the_process_are_kept(world, folded):
    pool, _ = world
    with_process, both = (
        brm.fit(
            brm.RewardModel(pool, kind(pool.dim, "matern32", 5, input_blocks=BLOCKS)), pool, folded.preferences
        )
        for kind in (LayersKernel, LayersKernelMLP)
    )
    scales = dict(both.model.prior_scale)
    assert scales.pop("mlp") > 0
    assert scales == with_process.model.prior_scale
    assert both.model.encoder.settings == {"shape": "matern32", "features": 5, "network": [64, 64]}


@pytest.mark.parametrize("encoder", ["layers+mlp", "layers+kernel+mlp"])
def test_fitted_again_to_the_same_labels_it_is_the_same(world, encoder):
    pool, golden = world
    labels = _labels(pool, golden["folded"], 200)
    posterior = brm.fit(brm.RewardModel(pool, encoder), pool, labels)
    again = brm.fit(posterior.model, pool, labels)
    np.testing.assert_allclose(again.reward(pool)[0], posterior.reward(pool)[0], atol=1e-5)


def test_nothing_is_left_of_a_network_that_has_learnt_from_other_labels(world, folded):
    pool, golden = world
    few = _labels(pool, golden["folded"], 15, seed=8)
    again = brm.fit(folded.model, pool, few)
    assert not any(part.any() for part in again.model.encoder.network.weights)
    relearnt = folded.relearn(folded, _labels(pool, golden["straight"], 200))
    assert not torch.equal(relearnt.model.encoder.network.weights[0], folded.model.encoder.network.weights[0])


def test_frozen_it_stays(world, folded):
    pool, golden = world
    other = _labels(pool, golden["straight"], 100)
    final = frozen(folded.model, pool, other)
    posterior = brm.fit(final, pool, folded.preferences, seed=5)
    unfitted = frozen(brm.RewardModel(pool, "layers+mlp"), pool, other)
    assert not any(part.any() for part in unfitted.encoder.network.weights)
    np.testing.assert_allclose(posterior.reward(pool)[0], folded.reward(pool)[0], atol=1e-6)


def test_auto_asks_for_no_network_with_few_labels_and_takes_it_beside_a_process_too(world, monkeypatch):
    pool, golden = world
    asked = []

    class Counted(network_beside.Networks):
        def __init__(self, start, seed):
            asked.append(len(start.preferences))
            super().__init__(start, seed)

    def chosen(count):
        return brm.fit(brm.RewardModel(pool, "auto"), pool, labels[:count]).model.encoder.name

    monkeypatch.setattr(shape, "Networks", Counted)
    labels = _labels(pool, golden["folded"], 1000)
    assert chosen(299) == "layers"
    assert asked == []
    monkeypatch.setattr(shape, "log_bayes_factor", lambda *_: 1.0)
    assert chosen(1000) == "layers+kernel+mlp"
    assert asked == [1000], "the first split was clear"
    monkeypatch.setattr(shape, "CLEARLY", 1e4)
    assert chosen(1000) == "layers+kernel"
    assert asked[1:] == [1000] * shape.SPLITS
    monkeypatch.setattr(shape, "log_bayes_factor", lambda *_: -1.0)
    assert chosen(400) == "layers"
    assert asked[1 + shape.SPLITS :] == [400], "it was asked"


def test_auto_does_not_take_the_luck_of_one_split_for_a_network(world, monkeypatch):
    pool, golden = world
    asked = []

    class LuckyOnce(network_beside.Networks):
        def __init__(self, start, seed):
            asked.append(seed)
            super().__init__(start, seed)
            self.helped = True

        def beside(self, *arguments, **choices):
            found, lucky = super().beside(*arguments, **choices), len(asked) == 1
            linear = self.held_out(arguments[0]).log_prob
            return replace(found, held_out=HeldOut(linear + (14.0 if lucky else 0.0) / len(linear)))

    monkeypatch.setattr(shape, "Networks", LuckyOnce)
    labels = _labels(pool, golden["straight"], 300)
    assert brm.fit(brm.RewardModel(pool, "auto"), pool, labels).model.encoder.name == "layers"
    assert len(set(asked)) == shape.SPLITS
    monkeypatch.setattr(shape, "SPLITS", 1)
    asked.clear()
    assert brm.fit(brm.RewardModel(pool, "auto"), pool, labels).model.encoder.name == "layers+mlp"


def test_auto_leaves_a_network_that_is_of_no_use_beside_a_process(world, monkeypatch):
    pool, golden = world

    class OfNoUse(network_beside.Networks):
        def held_out(self, reward):
            found = super().held_out(reward)
            if reward.model.encoder.name == "layers":
                return found
            return HeldOut(torch.zeros_like(found.log_prob))

    monkeypatch.setattr(shape, "Networks", OfNoUse)
    monkeypatch.setattr(shape, "log_bayes_factor", lambda *_: 1.0)
    posterior = brm.fit(brm.RewardModel(pool, "auto"), pool, _labels(pool, golden["folded"], 1000))
    assert posterior.model.encoder.name == "layers+kernel"


def test_given_scales_are_kept(world):
    pool, golden = world
    labels = _labels(pool, golden["folded"], 100)
    scales = dict.fromkeys(["layer-0", "layer-1", "mixed", "mlp", "covariates"], 0.5) | {"mlp": 0.01}
    posterior = brm.fit(brm.RewardModel(pool, "layers+mlp", prior_scale=scales), pool, labels)
    assert posterior.model.prior_scale == scales
    posterior = brm.fit(brm.RewardModel(pool, "layers+mlp", prior_scale=0.2), pool, labels)
    assert {posterior.model.prior_scale[name] for name in ("layer-0", "layer-1", "mixed", "mlp")} == {0.2}


@pytest.mark.parametrize("likelihood", ["davidson", "annotators", "plackett-luce"])
def test_other_likelihoods_teach_it_too(world, likelihood):
    pool, golden = world
    if likelihood == "plackett-luce":
        lists = [members[:4] for members in pool.members] + [members[2:] for members in pool.members]
        labels = brm.GoldenAnnotator(golden["folded"], 2.0, 3).rank(lists)
    else:
        labels = _labels(pool, golden["folded"], 700)
    if likelihood == "annotators":
        labels = replace(labels, annotator=np.arange(700) % 3)
    posterior = brm.fit(brm.RewardModel(pool, "layers+mlp", likelihood=likelihood), pool, labels)
    assert np.corrcoef(posterior.reward(pool)[0], golden["folded"])[0, 1] > 0.6


@pytest.mark.parametrize("inference", ["plugin", "svi", "ensemble", "bnn"])
def test_other_inferences_have_its_features(world, inference, folded, short_variational):
    pool, golden = world
    labels = _labels(pool, golden["folded"], 1000)
    settings = brm.inference.Ensemble(members=3) if inference == "ensemble" else inference
    posterior = brm.fit(brm.RewardModel(pool, "layers+mlp"), pool, labels, settings)
    mean, _ = posterior.reward(pool)
    assert np.corrcoef(mean, folded.reward(pool)[0])[0, 1] > 0.9


def test_it_is_saved_and_goes_on(world, folded, tmp_path):
    pool, golden = world
    brm.save_reward_model(tmp_path / "model", folded)
    loaded = brm.load_reward_model(tmp_path / "model")
    np.testing.assert_allclose(loaded.reward(pool)[0], folded.reward(pool)[0], atol=1e-4)
    after = folded.condition(_labels(pool, golden["folded"], 50, seed=9))
    assert after.model.encoder.name == "layers+mlp"
    assert np.corrcoef(after.reward(pool)[0], golden["folded"])[0, 1] > 0.8


def test_the_same_seed_teaches_the_same_network_and_another_one_another(world, folded):
    pool, golden = world
    labels = _labels(pool, golden["folded"], 1000)
    again, other = (brm.fit(brm.RewardModel(pool, "layers+mlp"), pool, labels, seed=seed) for seed in (0, 1))
    assert torch.equal(again.location, folded.location)
    assert not torch.equal(other.location, folded.location)
    assert np.corrcoef(other.reward(pool)[0], folded.reward(pool)[0])[0, 1] > 0.9


def test_intervals_know_that_it_has_learnt_from_the_labels(folded):
    assert folded.learns_features
    # By halves of the prompts, each with a network of its own.
    assert folded.predictive.coverage(folded.pool, 0.9).within(0.0, 1.0) == pytest.approx(1.0)


def test_what_has_no_linear_reward_to_start_from_is_refused(world):
    pool, golden = world

    def program(features, first, second, outcome=None):
        beta = pyro.sample("beta", dist.Normal(torch.zeros(features.shape[1]).double(), 1.0).to_event(1))
        with pyro.plate("comparison", len(first)):
            logit = features[first] @ beta - features[second] @ beta
            return pyro.sample("outcome", dist.Bernoulli(logits=logit), obs=outcome)

    labels = _labels(pool, golden["folded"], 50)
    for model in (
        brm.RewardModel(pool, "layers+mlp", training="paper"),
        brm.RewardModel(pool, "layers+mlp", program=program, covariates=()),
    ):
        with pytest.raises(
            CapabilityError, match=r"beside a linear reward that is fitted first.*use encoder='mlp"
        ):
            brm.fit(model, pool, labels)
    auto = brm.RewardModel(pool, "auto", training="paper")
    fitted = brm.fit(auto, pool, _labels(pool, golden["folded"], 400))
    assert fitted.predictive.coverage(pool, 0.9).within(0.0, 1.0) == pytest.approx(1.0)
    with pytest.raises(InvalidInputError, match="nothing to drop"):
        brm.fit(brm.RewardModel(pool, "layers+mlp"), pool, labels, "mc-dropout")
    with pytest.raises(InvalidInputError, match="expected the sizes of hidden layers, got none"):
        LayersMLP(4, network=())


@pytest.mark.parametrize("inputs", [None, "raw"])
@pytest.mark.parametrize("each", [1, 2])
def test_where_nothing_varies_within_prompts_rewards_can_fold_too(inputs, each):
    r = np.random.default_rng(5)
    x = np.repeat(r.normal(size=(300, 8)) / 50, each, axis=0).astype(np.float32)
    pool = brm.ResponsePool(x, np.repeat(np.arange(300), each))
    golden = -150.0 * np.abs(pool.embeddings[:, 0].astype(float))
    asked = brm.candidates(pool, "cross-prompt", prompts=None, size=600, seed=1)
    labels = brm.GoldenAnnotator(golden, 1.0, 1).label(asked)
    posterior = brm.fit(brm.RewardModel(pool, "layers+mlp", inputs=inputs), pool, labels)
    assert np.corrcoef(posterior.reward(pool)[0], golden)[0, 1] > 0.6


@pytest.mark.parametrize("count", [60, 300])
def test_of_many_blocks_each_shows_the_network_what_it_can(count):
    r = np.random.default_rng(6)
    x = r.normal(size=(120, count)).astype(np.float32)
    blocks = {f"block-{k}": slice(k, k + 1) for k in range(count)}
    pool = brm.ResponsePool(x, np.repeat(np.arange(30), 4), blocks=blocks)
    encoder = LayersMLP(count, input_blocks=blocks)
    encoder.fit_pool(pool)
    seen = encoder.network.directions.abs().sum(dim=1) > 0
    assert int(seen.sum()) == min(count, INPUTS)
    z = encoder.network.inputs(encoder.prepare(torch.from_numpy(x))).double()
    z = z - z.reshape(30, 4, -1).mean(dim=1).repeat_interleave(4, dim=0)
    assert float(z.square().sum() / 90) == pytest.approx(SPREAD**2, rel=1e-3)


def test_of_many_blocks_those_shown_vary_or_responses_are_compared_across_prompts():
    r = np.random.default_rng(6)
    blocks = {f"block-{k}": slice(k, k + 1) for k in range(300)}
    shown = np.unique(np.linspace(0, 299, INPUTS).round().astype(int))
    x = r.normal(size=(120, 300)).astype(np.float32)
    x[:, shown] = np.repeat(x[::4, shown], 4, axis=0)
    pool = brm.ResponsePool(x, np.repeat(np.arange(30), 4), blocks=blocks)
    encoder = LayersMLP(300, input_blocks=blocks)
    encoder.fit_pool(pool)
    assert bool(encoder.network.directions.isfinite().all())
    assert int((encoder.network.directions.abs().sum(dim=1) > 0).sum()) == INPUTS
