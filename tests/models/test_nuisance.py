"""Laplace with nuisance parameters against automatic differentiation of the Pyro model, and against dense grids."""

from __future__ import annotations

import math
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyro
import pytest
import torch
from torch.distributions import biject_to

import bayesrm as brm
from bayesrm import rng
from bayesrm.errors import InvalidInputError
from bayesrm.inference.fitting import newton
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.models.context import Context
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.log_joint import LogJoint
from bayesrm.models.nuisance import NuisanceSpace

ESTIMATED = ("annotator-flips", "annotators", "davidson", "flips", "rao-kupper")


def _labelled(world, likelihood, seed=0):
    """The comparisons of a world with answers of a likelihood, three annotators, and weights."""
    r = np.random.default_rng(seed)
    given = world.preferences
    logit = torch.from_numpy(1.5 * (world.golden[given.first] - world.golden[given.second]))
    outcome = LIKELIHOODS[likelihood]().simulate(logit, r).numpy()
    annotator = r.choice(["ann", "bob", "cy"], len(given))
    return brm.Preferences(given.first, given.second, outcome, annotator, r.uniform(0.5, 2, len(given)))


def _fit(world, likelihood, preferences=None, inference="laplace", **settings):
    model = brm.RewardModel(world.pool.dim, encoder="linear", likelihood=likelihood, prior_scale=0.7, **settings)
    return brm.fit(model, world.pool, preferences or _labelled(world, likelihood), inference)


def _traced_joint(posterior):
    """(ν, β) ↦ log density of the Pyro model's own trace plus the Jacobians of the constraints, site by site."""
    joint, preferences = posterior.log_joint, posterior.preferences
    features = posterior.features(posterior.pool)
    columns = [torch.from_numpy(getattr(preferences, name)) for name in ("first", "second", "outcome", "weight")]
    arguments = (features, *columns, joint.data.context)
    free = pyro.poutine.trace(posterior.model.last_layer).get_trace(*arguments)
    sites = [
        (name, biject_to(node["fn"].support), node["value"].shape)
        for name, node in free.nodes.items()
        if node["type"] == "sample" and not node["is_observed"] and name not in ("beta", "comparison")
    ]

    def density(x):
        data, at, jacobian = {"beta": x[-features.shape[1] :]}, 0, 0.0
        for name, transform, shape in sites:
            flat = x[at : at + shape.numel()].reshape(shape)
            data[name], at = transform(flat), at + shape.numel()
            jacobian = jacobian + transform.log_abs_det_jacobian(flat, data[name]).sum()
        conditioned = pyro.poutine.condition(posterior.model.last_layer, data=data)
        return pyro.poutine.trace(conditioned).get_trace(*arguments).log_prob_sum() + jacobian

    return density


@pytest.fixture(scope="module", params=ESTIMATED)
def posterior(request, world):
    return _fit(world, request.param)


def test_gradient_and_hessian_are_those_of_the_pyro_model(posterior):
    joint, density = posterior.log_joint, _traced_joint(posterior)
    mode = torch.cat([posterior.nuisance, posterior.location])
    for x in (mode, mode + 0.3 * torch.from_numpy(np.random.default_rng(1).normal(size=len(mode)))):
        torch.testing.assert_close(joint(x), density(x), rtol=1e-10, atol=1e-8)
        gradient, information = joint.curvature(x)
        expected = torch.autograd.functional.jacobian(density, x)
        torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(
            information, -torch.autograd.functional.hessian(density, x), rtol=1e-8, atol=1e-8
        )


def _inside(joint, nu):
    """log p(y, ν) by Laplace in β alone, from the definition: f at its maximum in β and the Hessian there."""
    at = joint.nuisance.at(nu)
    beta = newton.maximise(replace(joint, nuisance=NuisanceSpace(lambda: at.values))).beta
    x = torch.cat([nu, beta])
    hessian = -torch.autograd.functional.hessian(lambda b: joint(torch.cat([nu, b])), beta)
    return float(joint(x)) + len(beta) / 2 * math.log(2 * math.pi) - 0.5 * float(torch.logdet(hessian))


def test_nuisance_parameters_are_at_the_mode_of_what_the_weights_leave(posterior):
    joint, nu = posterior.log_joint, posterior.nuisance
    q, precision = len(nu), posterior.joint_cholesky @ posterior.joint_cholesky.T
    assert q == joint.nuisance.size > 0
    gradient, information = joint.curvature(torch.cat([nu, posterior.location]))
    assert gradient[q:].abs().max() < 1e-6, "β is at its mode for these nuisance parameters"
    torch.testing.assert_close(precision[q:], information[q:], rtol=1e-9, atol=1e-9)
    schur = precision[:q, :q] - precision[:q, q:] @ torch.linalg.solve(precision[q:, q:], precision[q:, :q])
    middle, step = _inside(joint, nu), 1e-3
    assert posterior.log_evidence == pytest.approx(
        middle + q / 2 * math.log(2 * math.pi) - 0.5 * float(torch.logdet(schur)), abs=1e-6
    )
    spread = None if joint.likelihood.spread is None else joint.nuisance.place(joint.likelihood.spread)
    for j in range(q):
        if spread is not None and j == spread.start:
            continue
        offset = step * torch.eye(q, dtype=torch.float64)[j]
        up, down = _inside(joint, nu + offset), _inside(joint, nu - offset)
        assert abs(up - down) / (2 * step) < 1e-3
        assert (2 * middle - up - down) / step**2 == pytest.approx(float(schur[j, j]), rel=1e-2)


def test_a_spread_is_at_the_mode_of_what_those_that_it_spreads_leave(posterior):
    joint, name = posterior.log_joint, posterior.log_joint.likelihood.spread
    if name is None:
        pytest.skip("nothing is pooled in part")
    place, q = joint.nuisance.place(name), len(posterior.nuisance)

    def integrated(h):
        held, log_prior = joint.nuisance.holding(name, h)
        return find_mode(replace(joint, nuisance=held)).log_evidence + float(log_prior)

    step, h = 0.2, posterior.nuisance[place]
    up, middle, down = integrated(h + step), integrated(h), integrated(h - step)
    assert abs(up - down) / (2 * step) < 1e-3
    precision = posterior.joint_cholesky @ posterior.joint_cholesky.T
    bend = 1 / torch.linalg.inv(precision)[place, place]
    assert (2 * middle - up - down) / step**2 == pytest.approx(float(bend), rel=1e-3)
    assert posterior.log_evidence == pytest.approx(
        middle + 0.5 * math.log(2 * math.pi) - 0.5 * math.log(bend), abs=1e-5
    )
    assert q > 1


def test_many_features_do_not_send_a_temperature_to_infinity():
    """Forty features and forty answers of each annotator: at the joint mode one of them has a huge temperature."""
    r = np.random.default_rng(0)
    embeddings = r.normal(size=(200, 40)).astype(np.float32)
    golden = embeddings @ r.normal(size=40) * 2 / np.sqrt(40)
    first = r.integers(200, size=120)
    second = (first + r.integers(1, 200, size=120)) % 200
    outcome = (r.random(120) < 1 / (1 + np.exp(golden[second] - golden[first]))).astype(float)
    asked = brm.Preferences(first, second, outcome, np.array(["ann", "bob", "cy"])[np.arange(120) % 3])
    pool = brm.ResponsePool(embeddings, np.arange(200))
    model = brm.RewardModel(40, encoder="linear", likelihood="annotators", prior_scale=0.3)
    posterior = brm.fit(model, pool, asked)
    temperature = posterior.to_datatree(500)["posterior"]["temperature"]
    assert float(abs(np.log(temperature.median(("chain", "draw")))).max()) < 1.5, "none explains its labels away"
    joint_mode = newton.maximise(posterior.log_joint)
    assert joint_mode.log_evidence < posterior.log_evidence - 5
    values = posterior.log_joint.nuisance.values(joint_mode.nuisance)
    assert float(values["temperature"].max()) > 10


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
def test_the_fit_is_finite_before_and_after_any_labels(world, likelihood):
    none = brm.fit(
        brm.RewardModel(world.pool.dim, encoder="linear", likelihood=likelihood),
        world.pool,
        brm.Preferences.none(),
    )
    assert float(none.location.abs().max()) == 0
    some = none.condition(_labelled(world, likelihood)[:3])
    assert torch.isfinite(some.location).all()
    assert some.entropy() < none.entropy()


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
@pytest.mark.parametrize("inference", ["laplace", "plugin"])
def test_separable_labels_have_a_fit(world, likelihood, inference):
    given = world.preferences
    outcome = (world.golden[given.first] > world.golden[given.second]).astype(float)
    fitted = _fit(world, likelihood, brm.Preferences(given.first, given.second, outcome), inference)
    mean, _ = fitted.reward(world.pool)
    assert np.isfinite(mean).all()
    assert np.corrcoef(mean, world.golden)[0, 1] > 0.95


@pytest.fixture(scope="module")
def tiny():
    """One feature and one nuisance parameter: 60 answers, of which a grid says everything."""
    r = np.random.default_rng(2)
    pool = brm.ResponsePool(r.normal(size=(30, 1)).astype(np.float32), np.arange(30))
    first = r.integers(30, size=60)
    second = (first + r.integers(1, 30, size=60)) % 30
    logit = torch.from_numpy(2.0 * (pool.embeddings[first, 0] - pool.embeddings[second, 0]).astype(float))
    outcome = LIKELIHOODS["davidson"]().simulate(logit, r).numpy()
    model = brm.RewardModel(1, encoder="linear", likelihood="davidson", prior_scale=1.5)
    return brm.fit(model, pool, brm.Preferences(first, second, outcome))


@pytest.fixture(scope="module")
def grid(tiny):
    """ν, β, the log joint density on a grid of ±6 posterior standard deviations, and the area of a cell."""
    factor = torch.linalg.inv(tiny.joint_cholesky)
    sd = (factor.T @ factor).diagonal().sqrt()
    steps = torch.linspace(-6, 6, 49, dtype=torch.float64)
    nu, beta = tiny.nuisance[0] + steps * sd[0], tiny.location[0] + steps * sd[1]
    density = torch.stack([torch.stack([tiny.log_joint(torch.stack([n, b])) for b in beta]) for n in nu])
    return nu, beta, density, float((nu[1] - nu[0]) * (beta[1] - beta[0]))


def test_evidence_by_quadrature(tiny, grid):
    _, _, density, cell = grid
    exact = float(torch.logsumexp(density.flatten(), 0)) + math.log(cell)
    assert tiny.log_evidence == pytest.approx(exact, abs=0.03)


def test_posterior_of_the_nuisance_parameter_by_brute_force(tiny, grid):
    """The Gaussian of log ν: mean within a tenth, spread within a tenth, of the exact standard deviation."""
    nu, beta, density, _ = grid
    p = torch.softmax(density.flatten(), 0).reshape(density.shape)
    covariance = torch.cholesky_inverse(tiny.joint_cholesky)
    for axis, at, location, k in ((1, nu, tiny.nuisance[0], 0), (0, beta, tiny.location[0], 1)):
        marginal = p.sum(dim=axis)
        mean = float(marginal @ at)
        sd = math.sqrt(float(marginal @ (at - mean) ** 2))
        assert abs(float(location) - mean) < 0.2 * sd
        assert math.sqrt(float(covariance[k, k])) == pytest.approx(sd, rel=0.1)
    draws = tiny.to_datatree(draws=4000)["posterior"]
    tie = float(draws["tie"].mean())
    assert tie == pytest.approx(float(p.sum(dim=1) @ nu.exp()), rel=0.05)


def test_a_known_nuisance_parameter_is_not_estimated(world):
    known = LIKELIHOODS["flips"](rate=0.2)
    posterior = _fit(world, known, _labelled(world, "flips"))
    assert len(posterior.nuisance) == 0
    assert posterior.model.describe()["likelihood"] == {"name": "flips", "rate": 0.2, "estimated": False}
    assert float(posterior.likelihood.probability(torch.tensor([50.0], dtype=torch.float64))[0]) == pytest.approx(
        0.8
    )


@pytest.mark.parametrize(
    ("likelihood", "setting", "value"),
    [("flips", "rate", 0.0), ("flips", "rate", 0.5), ("davidson", "tie", -1.0), ("rao-kupper", "threshold", 1.0)],
)
def test_settings_out_of_range_are_refused(likelihood, setting, value):
    with pytest.raises(InvalidInputError, match=f"got {value}"):
        LIKELIHOODS[likelihood](**{setting: value})


def test_a_new_annotator_grows_the_nuisance_parameters(world):
    preferences = _labelled(world, "annotators")
    old = preferences[preferences.annotator != "cy"]
    new = preferences[preferences.annotator == "cy"]
    fitted = _fit(world, "annotators", old)
    after = fitted.condition(new)
    assert (len(fitted.nuisance), len(after.nuisance)) == (3, 4)
    together = _fit(world, "annotators", old.append(new))
    torch.testing.assert_close(after.location, together.location, rtol=1e-5, atol=1e-6)
    assert after.log_evidence == pytest.approx(together.log_evidence, abs=1e-6)


def test_every_draw_of_a_datatree_has_its_exact_log_joint(posterior):
    """log_p by the vectorised pass over draws against one evaluation a draw; sites and what follows from them."""
    tree = posterior.to_datatree(draws=20, seed=3, log_likelihood=True)
    drawn = posterior.latent_draws(20, rng.stream(3, "posterior draws")).latent[0]
    expected = [float(posterior.log_joint(x)) for x in drawn]
    np.testing.assert_allclose(tree["sample_stats"]["log_p"].values.ravel(), expected, rtol=1e-9)
    total = sum(tree["log_prior"][name].values.ravel() for name in tree["log_prior"])
    weighted = (tree["log_likelihood"]["outcome"] @ tree["constant_data"]["weight"]).values.ravel()
    space = posterior.log_joint.nuisance
    jacobian = [float(space.at(x[: space.size]).jacobian) for x in drawn]
    np.testing.assert_allclose(total + weighted + jacobian, expected, rtol=1e-9)
    for name, value in space.at(drawn[0, : space.size]).values.items():
        np.testing.assert_allclose(tree["posterior"][name][0, 0], value, rtol=1e-12)
        assert name in tree["prior"]


def test_newton_leaves_a_region_of_negative_curvature():
    """−f = (x² − 1)² in each coordinate has negative curvature between its minima; Newton must not stop there."""

    class Valley(LogJoint):
        size = 2

        def __init__(self):
            pass

        def __call__(self, x):
            return -((x**2 - 1) ** 2).sum()

        def gradient(self, x):
            return -4 * x * (x**2 - 1)

        def curvature(self, x):
            return self.gradient(x), torch.diag(12 * x**2 - 4)

        def split(self, x):
            return x[:0], x

        def log_likelihood(self, x):
            return self(x)

    found = newton.maximise(Valley(), torch.tensor([0.1, -0.3], dtype=torch.float64))
    torch.testing.assert_close(found.beta, torch.tensor([1.0, -1.0], dtype=torch.float64), rtol=1e-6, atol=0)


def test_threads_do_not_see_the_programs_of_each_other():
    """A live page prepares in one thread and answers in others."""
    context = Context.of(brm.Preferences([0], [1], [0.5]), torch.device("cpu"))
    space = brm.RewardModel(2, "linear", likelihood="davidson").nuisance_space(context)
    points = [torch.full((space.size,), float(at), dtype=torch.float64) for at in range(200)]
    expected = [float(space.log_prior(nu)) for nu in points]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert [float(found) for found in threads.map(space.log_prior, points)] == expected
    finally:
        sys.setswitchinterval(before)
