"""Wrong calls of every public name: one argument of a valid call at a time is replaced by what it is not for.

What a call has to do then is to work, or to raise a :class:`~bayesrm.errors.BayesRMError` of one sentence.
"""

from __future__ import annotations

import inspect
import math
import pathlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.design.criteria.bald import BALD
from bayesrm.design.selectors.top import Top
from bayesrm.errors import BayesRMError

NOT_CALLED = {
    "Annotator",
    "CandidateSet",
    "Criterion",
    "Encoder",
    "Inference",
    "Likelihood",
    "RewardPosterior",
    "Selector",
}
"""Abstract base classes: nobody makes one; what they offer is called of what implements them."""


@dataclass(frozen=True)
class Call:
    """A valid call: what is called, made anew each time where it changes, with all arguments that it is given."""

    name: str
    make: Callable[[], Callable[..., Any]]
    arguments: dict[str, Any]

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of what can be replaced."""
        own = inspect.signature(self.make()).parameters.values()
        return tuple(each.name for each in own if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD))

    def __call__(self, **replaced: Any) -> Any:
        return self.make()(**(self.arguments | replaced))


class World:
    """Small objects of every public kind, in a folder of their own."""

    def __init__(self, folder: pathlib.Path) -> None:
        random = np.random.default_rng(0)
        self.folder = folder
        prompt = np.repeat(np.arange(4), 3)
        texts = [f"response {k}" for k in range(12)]
        self.pool = brm.ResponsePool(
            random.standard_normal((12, 3)), prompt, texts, covariates={"log_characters": np.arange(12.0)}
        )
        self.other = brm.ResponsePool(random.standard_normal((6, 2)), np.repeat([0, 1], 3))
        self.golden = random.standard_normal(12)
        pairs = brm.candidates(self.pool)
        outcome = random.integers(0, 2, len(pairs)).astype(float)
        self.preferences = brm.Preferences(pairs.first, pairs.second, outcome)
        self.votes = brm.Votes(pairs.first, pairs.second, outcome)
        self.model = brm.RewardModel(self.pool, "linear", prior_scale=1.0)
        self.posterior = brm.fit(self.model, self.pool, self.preferences[:4])
        self.point = brm.fit(self.model, self.pool, self.preferences[:4], "plugin")
        self.tree = self.posterior.to_datatree(8, log_likelihood=True)
        self.candidates = pairs
        self.selection = brm.select(self.posterior, pairs, "bald", 2)
        self.lists = brm.select(self.posterior, pairs, "bald", 1, list_size=3)
        self.forecast = brm.forecast(self.posterior, labels=[2], draws=8)
        brm.save_pool(folder / "pool", self.pool, self.golden)
        brm.save_reward_model(folder / "model", self.posterior)
        brm.run(
            self.pool, brm.GoldenAnnotator(self.golden), model=self.model, batch_size=2, rounds=1, out=folder / "run",
            draws=4, progress=False,
        )  # fmt: skip
        (folder / "votes.csv").write_text("first,second,outcome\n0,1,1\n3,4,0\n")
        self.campaign = brm.Campaign.create(
            folder / "campaign", folder / "pool", encoder="linear", prior_scale=1.0
        )
        self.campaign.ask(Request(size=2, design="random"))
        sheet = pd.read_csv(self.campaign.hand_out("csv")[0], dtype=str, keep_default_na=False)
        self.sheet = folder / "answers.csv"
        sheet.assign(answer="left").to_csv(self.sheet, index=False)
        self.campaign.tell(self.sheet, annotator="anna")
        self._made = 0

    def new(self) -> pathlib.Path:
        """A path at which nothing is."""
        self._made += 1
        return self.folder / f"new-{self._made}"

    def calls(self) -> Iterator[Call]:
        """One of each public function and class, and of what their objects offer."""
        w = self
        some = brm.Comparisons([0, 3], [1, 4])

        def of(name: str, **arguments: Any) -> Call:
            return Call(name, lambda: getattr(brm, name), arguments)

        def on(name: str, make: Callable[[], Any], **arguments: Any) -> Call:
            return Call(name, lambda: getattr(make(), name.split(".")[1]), arguments)

        yield of("ResponsePool", embeddings=w.pool.embeddings, prompt=w.pool.prompt)
        yield of("Comparisons", first=[0], second=[1])
        yield of("Preferences", first=[0], second=[1], outcome=[1.0])
        yield of("Votes", first=[0], second=[1], outcome=[1.0])
        yield of("RewardModel", dim=w.pool, encoder="linear")
        yield of("GoldenAnnotator", golden=w.golden)
        yield of("ReplayAnnotator", votes=w.votes)
        yield of("Live", posterior=w.posterior, candidates=w.candidates, design="bald")
        yield of("Design", criterion=BALD(), selector=Top())
        yield of("Selection", first=[0], second=[1], gain=[0.5])
        yield of("ListSelection", lists=[[0, 1, 2]], gain=[0.5])
        yield of("RoundRecord", round=0, selection=w.selection, labels=w.preferences, metrics={})
        yield of("Forecast", **{name: getattr(w.forecast, name) for name in vars(w.forecast)})
        yield of(
            "Campaign", **{name: getattr(w.campaign, name) for name in ("directory", "store", "pool_path", "pool")}
        )
        yield of("baselines", pool=w.pool, golden=w.golden)
        yield of("candidates", pool=w.pool)
        yield of("compare", posteriors={"a": w.tree, "b": w.tree})
        yield of("designs")
        yield of("diagnose", posterior=w.posterior, draws=8)
        yield of("evaluate", posterior=w.posterior, pool=w.pool, golden=w.golden)
        yield of("fit", model=w.model, pool=w.pool, preferences=w.preferences)
        yield of("forecast", posterior=w.posterior, labels=[2], draws=8)
        yield of("headroom", posterior=w.posterior, candidates=w.candidates)
        yield of("load_golden", path=w.folder / "pool")
        yield of("load_pool", path=w.folder / "pool")
        yield of("load_preferences", path=w.folder / "votes.csv", pool=w.pool)
        yield of("load_reward_model", path=w.folder / "model")
        yield of("load_votes", path=w.folder / "votes.csv", pool=w.pool)
        yield of("open_results", path=w.folder / "run")
        yield of("register", part=BALD)
        yield of(
            "replay", pool=w.pool, votes=w.votes, designs=["random"], budget=2, batch_size=2, seeds=1, model=w.model,
            progress=False,
        )  # fmt: skip
        yield of(
            "run", pool=w.pool, annotator=brm.GoldenAnnotator(w.golden), model=w.model, design="random", batch_size=2,
            rounds=1, draws=4, progress=False,
        )  # fmt: skip
        yield Call("save_pool", lambda: brm.save_pool, {"path": "unused", "pool": w.pool, "golden": w.golden})
        yield of("save_reward_model", path=w.folder / "model", posterior=w.posterior)
        yield of("select", posterior=w.posterior, candidates=w.candidates, design="bald", size=2)

        yield on("ResponsePool.take", lambda: w.pool, index=np.array([0]))
        yield on("ResponsePool.rows", lambda: w.pool, index=np.array([0]))
        yield on("ResponsePool.covariate_rows", lambda: w.pool, names=["log_characters"], index=np.array([0]))
        yield on("ResponsePool.with_covariates", lambda: w.pool, covariates={"lines": np.ones(12)})
        yield on("ResponsePool.holding", lambda: w.pool, names=["log_characters"])
        yield on("ResponsePool.same_responses", lambda: w.pool, other=w.pool)
        yield on("Preferences.append", lambda: w.preferences, more=w.preferences)
        yield on("Preferences.from_rankings", lambda: brm.Preferences, rankings=[[0, 1, 2]])
        yield on("Votes.consensus", lambda: w.votes, pool=w.pool)
        yield on("Votes.of_prompts", lambda: w.votes, pool=w.pool, prompts=np.array([0]))
        yield on("GoldenAnnotator.label", lambda: brm.GoldenAnnotator(w.golden), pairs=some)
        yield on("GoldenAnnotator.rank", lambda: brm.GoldenAnnotator(w.golden), lists=[[0, 1]])
        yield on("GoldenAnnotator.probability", lambda: brm.GoldenAnnotator(w.golden), pairs=some)
        yield on("GoldenAnnotator.golden_difference", lambda: brm.GoldenAnnotator(w.golden), pairs=some)
        yield on("GoldenAnnotator.at_round", lambda: brm.GoldenAnnotator(w.golden), round_index=1)
        yield on("ReplayAnnotator.label", lambda: brm.ReplayAnnotator(w.votes), pairs=some)
        yield on("CandidateSet.without", lambda: w.candidates, pairs=some)
        yield on(
            "Design.select",
            lambda: brm.Design(BALD(), Top()),
            posterior=w.posterior,
            candidates=w.candidates,
            size=1,
        )
        live = lambda: brm.Live(w.posterior, w.candidates, "bald")  # noqa: E731
        yield on("Live.tell", live, preferences=w.preferences[:1])
        yield on("Live.relabel", live, preferences=w.preferences[:1])
        yield on("Live.leave_out", live, pairs=some)
        yield on("Selection.explain", lambda: w.selection)
        yield on("ListSelection.explain", lambda: w.lists)
        yield on("Forecast.sentence", lambda: w.forecast, labels=2)
        yield on("Criterion.with_targets", lambda: brm.Design(BALD(), Top()).criterion, targets=some)
        yield on("Criterion.seeded", BALD, seed=1)
        for kind, posterior in (("RewardPosterior", w.posterior), ("point", w.point)):
            own = lambda posterior=posterior: posterior  # noqa: E731
            yield on(f"{kind}.reward", own, pool=w.pool)
            yield on(f"{kind}.preference_probability", own, pool=w.pool, first=[0], second=[1])
            yield on(f"{kind}.consensus_probability", own, pool=w.pool, first=[0], second=[1])
            yield on(f"{kind}.predictive_interval", own, pool=w.pool, level=0.9)
            yield on(f"{kind}.logit_moments", own, pool=w.pool, pairs=some)
            yield on(f"{kind}.logit_covariance", own, pool=w.pool, pairs=some, others=some)
            yield on(f"{kind}.condition", own, preferences=w.preferences[:1])
            yield on(f"{kind}.to_datatree", own, draws=4)
        campaign = lambda: w.campaign  # noqa: E731
        yield on(
            "Campaign.create",
            lambda: brm.Campaign,
            directory=w.folder / "taken",
            pool=w.folder / "pool",
            labels=False,
        )
        yield on("Campaign.open", lambda: brm.Campaign, directory=w.folder / "campaign")
        yield on("Campaign.ask", campaign, request=1)
        yield on("Campaign.hand_out", campaign, to="csv")
        yield on("Campaign.costs", campaign, words="length")
        yield on("Campaign.tell", campaign, file=w.sheet)
        yield on("Campaign.labels", campaign)
        yield on("Campaign.export_labels", campaign)
        yield on("Campaign.model", campaign, labels=w.preferences)
        yield on("Campaign.fit", campaign, model=w.model, labels=w.preferences)
        yield on("Campaign.untell", campaign, annotators=["anna"])
        yield on("Campaign.rename", campaign, old="anna", new="bert")
        yield on("Campaign.undo_rename", campaign)
        yield on("Campaign.release", campaign, batch=1, dry_run=True)
        yield on("Campaign.close", campaign, batch=1)

    def wrong(self) -> list[Any]:
        """Values of every kind: of each argument most of them are wrong."""
        w = self
        numbers = [
            None, True, -1, 0, 1, 3, 0.5, -0.5, math.nan, math.inf, -math.inf, 10**30, 2**63, 1e300, np.float64("nan"),
            np.int64(-1), np.array(math.nan), torch.tensor(math.nan), 1j,
        ]  # fmt: skip
        texts = [
            "", "x", "left", "\ud800", "\0", "[red]bold[/red]", "[[/]", "line\nline", "\x1b[31m", "a" * 300, "p/" * 2500,
            "linear", "laplace", "epig", b"bytes", pathlib.Path("a" * 300), pathlib.Path("nowhere"), w.folder,
        ]  # fmt: skip
        containers = [
            [], (), {}, set(), [[]], [[0], [1, 2]], [[0, 1]], [None], [object()], ["x"], [math.nan], [-1], [0], [10**30],
            [0.5], range(0), {"a": 1}, {"x": "y"}, {"log_characters": math.nan}, {1: 2}, (0, 1), (math.nan, 1.0),
            (w.pool, w.golden), (w.other, [0.0]), (w.pool, None), iter([0]), "ab".join,
        ]  # fmt: skip
        arrays = [
            np.zeros(0), np.zeros((2, 2, 2)), np.array(["x"]), np.array([object()]), np.zeros(3, complex), np.eye(3),
            np.array([math.nan] * 12), np.full((12, 3), math.inf), np.array([0, 10**9]), np.array([-1]), np.arange(12),
            np.array([True, False]), torch.zeros(12, dtype=torch.bfloat16), torch.ones(12, requires_grad=True),
            torch.full((12, 3), math.nan), torch.zeros(2, dtype=torch.long), torch.zeros(3, device="meta"),
            np.zeros(12, "datetime64[s]"), pd.DataFrame(), pd.Series([1.0] * 12),
        ]  # fmt: skip
        objects = [
            object(), lambda *_: None, int, Exception("no"), NotImplemented, w, w.pool, w.other, w.preferences, w.votes,
            w.model, w.posterior, w.point, w.tree, xr.DataTree(), xr.Dataset(), w.candidates, w.selection, w.lists,
            w.forecast, w.campaign, brm.Preferences.none(), brm.Comparisons([0], [500]), brm.GoldenAnnotator,
            brm.GoldenAnnotator([0.0, 1.0]), BALD, BALD(), Top(), Mimic(),
        ]  # fmt: skip
        return [*numbers, *texts, *containers, *arrays, *objects]


class Mimic:
    """Has what pairs, lists and annotators have, and all of it is wrong; nor can it be shown."""

    first = second = lists = "no"

    def label(self, pairs: object) -> None:
        return None

    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")


def outcome(call: Call, parameter: str, value: Any) -> tuple[str, str]:
    """What became of a wrong call: "works", "sentence" or "bare", and what was said."""
    try:
        call(**{parameter: value})
    except BayesRMError as error:
        said = str(error)
        fine = said and "\n" not in said and len(said) < 1200
        return ("sentence" if fine else "bare"), f"{type(error).__name__}: {said!r}"
    except Exception as error:
        places = traceback.extract_tb(error.__traceback__)
        own = [
            place for place in places if "bayesrm/" in place.filename and "tests" not in place.filename
        ] or places
        return (
            "bare",
            f"{type(error).__name__}: {str(error)[:100]!r} at {own[-1].filename.split('bayesrm/')[-1]}:{own[-1].lineno}",
        )
    return "works", ""


def shown(value: Any) -> str:
    """A value in a table."""
    try:
        return f"{type(value).__name__} {' '.join(repr(value).split()):.40}"
    except Exception:
        return type(value).__name__
