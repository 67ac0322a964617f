"""Shapes are checked at run time in every test; small worlds that more than one test file looks at."""

from __future__ import annotations

import csv
import gc
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

# One thread a process, before numpy starts its own: make test runs several processes side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from remembering import remembers
from shapes import check_shapes, start_again

import bayesrm as brm

if TYPE_CHECKING:
    from bayesrm.campaign.records import Question
    from bayesrm.inference import nuts
    from bayesrm.inference.fitting.newton import Mode
    from bayesrm.models.log_joint import LogJoint
    from bayesrm.posteriors.last_layer import LatentDraws


check_shapes()
torch.set_num_threads(1)

REAL_POOL = Path(__file__).resolve().parents[2] / "shared" / "data" / "alpaca_eval"
QUICKSTART = Path(__file__).resolve().parents[1] / "data/quickstart"
RAGGED = (2, 5, 1, 7, 3, 4, 6, 2, 1, 9)


@dataclass(frozen=True)
class World:
    """A pool, what is true of it, and what an annotator said."""

    pool: brm.ResponsePool
    golden: np.ndarray
    preferences: brm.Preferences


def _make_world(
    seed: int = 0, sizes: tuple[int, ...] = RAGGED, dim: int = 6, comparisons: int = 150, spread: float = 1.0
) -> World:
    """Linear golden rewards of standard deviation ``spread``; prompts ragged, in no order, named by strings."""
    rng = np.random.default_rng(seed)
    prompt = np.repeat([f"prompt {k}" for k in range(len(sizes))], sizes)
    rng.shuffle(prompt)
    embeddings = rng.normal(loc=2.0, scale=3.0, size=(len(prompt), dim)).astype(np.float32)
    golden = (embeddings - 2.0) @ rng.normal(size=dim) * spread / (3.0 * np.sqrt(dim))
    first = rng.integers(len(prompt), size=comparisons)
    second = (first + rng.integers(1, len(prompt), size=comparisons)) % len(prompt)
    probability = 1 / (1 + np.exp(golden[second] - golden[first]))
    outcome = (rng.random(comparisons) < probability).astype(float)
    return World(brm.ResponsePool(embeddings, prompt), golden, brm.Preferences(first, second, outcome))


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_runtest_setup() -> None:
    start_again()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
    """Refuse that tests share an annotator or a generator: what they find would depend on which of them ran before."""
    made = yield
    assert fixturedef.scope == "function" or not remembers(made), (
        f"the fixture {fixturedef.argname} is shared by tests, and goes on from one call to the next: make it anew"
    )
    return made


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    """Worlds to order: ``make_world(seed, sizes, dim, comparisons, spread)``."""
    return _make_world


@pytest.fixture(scope="session")
def world() -> World:
    """Forty responses of dimension 6 to ten ragged prompts, 150 noisy comparisons that no hyperplane separates."""
    return _make_world()


@pytest.fixture(scope="session")
def pool(world: World) -> brm.ResponsePool:
    return world.pool


@pytest.fixture(scope="session")
def golden(world: World) -> np.ndarray:
    return world.golden


@pytest.fixture(scope="session")
def preferences(world: World) -> brm.Preferences:
    return world.preferences


@pytest.fixture(scope="session")
def laplace(world: World) -> brm.RewardPosterior:
    """Laplace with a linear encoder, the prior scale chosen by evidence."""
    return brm.fit(brm.RewardModel(world.pool.dim, encoder="linear"), world.pool, world.preferences)


@pytest.fixture(scope="session")
def plugin(world: World) -> brm.RewardPosterior:
    """The maximum-likelihood point with a linear encoder."""
    return brm.fit(brm.RewardModel(world.pool.dim, encoder="linear"), world.pool, world.preferences, "plugin")


@pytest.fixture(scope="session")
def real_pool_folder() -> Path:
    """The AlpacaEval pool directory, with ``pool`` and ``test`` in it; not part of the project."""
    if not REAL_POOL.is_dir():
        pytest.skip(f"no real pool at {REAL_POOL}")
    return REAL_POOL


def _tell_as(
    name: str,
    campaign: brm.Campaign,
    questions: Sequence[Question],
    golden: np.ndarray,
    seed: int,
    at_random: bool = False,
) -> None:
    """Tell a file of one annotator, who answers by the golden rewards with Bradley-Terry noise, or at random."""
    random = np.random.default_rng(seed)
    path = campaign.directory / f"told-{seed}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer", "annotator"])
        for question in questions:
            left = 1 / (1 + np.exp(golden[question.right] - golden[question.left]))
            answer = "left" if random.random() < (0.5 if at_random else left) else "right"
            writer.writerow([question.id, answer, name])
    campaign.tell(path)


@pytest.fixture(scope="session")
def tell_as() -> Callable[..., None]:
    """Answers of people to order: ``tell_as(name, campaign, questions, golden, seed, at_random)``."""
    return _tell_as


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """An MLP is trained for a few steps only: for tests that are not about how well it learns."""
    from bayesrm.inference.fitting import training

    monkeypatch.setattr(training, "MAX_STEPS", 12)
    monkeypatch.setattr(training, "PAPER_STEPS", 12)


@pytest.fixture
def short_variational(monkeypatch: pytest.MonkeyPatch) -> None:
    """SVI and mean-field networks take a few steps only: for tests that are not about how close they come."""
    from bayesrm.inference import bnn, svi

    monkeypatch.setattr(svi, "MOST_WINDOWS", 1)
    monkeypatch.setattr(svi, "WINDOW", 12)
    monkeypatch.setattr(svi, "ELBO_DRAWS", 60)
    monkeypatch.setattr(bnn, "MAX_STEPS", 60)


@pytest.fixture
def short_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """NUTS makes at most fifty draws a chain, after fifty: for tests that are not about what it draws."""
    from bayesrm.inference import nuts

    def few(joint: LogJoint, mode: Mode, sampling: nuts.Sampling, seed: int) -> LatentDraws:
        short = replace(sampling, draws=min(sampling.draws, 50), warmup=min(sampling.warmup, 50))
        return sample(joint, mode, short, seed)

    sample = nuts.sample
    monkeypatch.setattr(nuts, "sample", few)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run ``bayesrm`` with arguments; returns exit status, stdout and stderr."""
    from bayesrm import cli

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["bayesrm", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return stop.value.code, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def narrow_quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pool and test pool of the quickstart, in 24 of 384 dimensions and with a quarter of the test prompts.

    A fit takes a tenth of the time, and so does an evaluation.
    """
    folder = tmp_path_factory.mktemp("quickstart")
    for part in ("pool", "test"):
        pool, golden = brm.load_pool(QUICKSTART / part), brm.load_golden(QUICKSTART / part)
        kept = np.arange(len(pool)) if part == "pool" else np.flatnonzero(pool.prompt < 25)
        rows, texts = pool.rows(kept)[:, :24], [pool.texts[k] for k in kept]
        brm.save_pool(folder / part, brm.ResponsePool(rows, pool.prompt[kept], texts), golden[kept])
    return folder / "pool", folder / "test"
