"""Wrong calls of every public name: one argument of a valid call at a time is replaced by what it is not for.

What a call has to do then is to raise a :class:`~bayesrm.errors.BayesRMError` of one sentence, or to work, where the
value makes sense after all: :data:`SENSE` says so by the name of the argument, as API.md has it, and :data:`ARGUED`
has what is taken beyond that, each with the reason.
"""

from __future__ import annotations

import inspect
import math
import os
import shutil
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.design import CRITERIA, SELECTORS
from bayesrm.design.base import Criterion, Selector
from bayesrm.design.criteria.bald import BALD
from bayesrm.design.criteria.epig import EPIG
from bayesrm.design.selectors.top import Top
from bayesrm.errors import BayesRMError
from bayesrm.inference import INFERENCES
from bayesrm.models.encoders import ENCODERS
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.base import Likelihood

ABSTRACT = {
    "Annotator", "CandidateSet", "Criterion", "Encoder", "Inference", "Likelihood", "RewardPosterior", "Selector",
}  # fmt: skip
"""Nobody makes one of these; what they offer is called of what implements them."""


class Fresh:
    """Stands for a path at which nothing is."""


@dataclass(frozen=True)
class Call:
    """A valid call: what is called, made anew each time where calls change it, with the arguments that it is given."""

    name: str
    make: Callable[[], Callable[..., Any]]
    arguments: dict[str, Any]
    world: World

    @cached_property
    def parameters(self) -> list[str]:
        """The names of what can be replaced."""
        own = inspect.signature(self.make()).parameters.values()
        return [each.name for each in own if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]

    def __call__(self, **replaced: Any) -> Any:
        given = {
            name: self.world.new() if value is Fresh else value
            for name, value in (self.arguments | replaced).items()
        }
        return self.make()(**given)


class World:
    """Small objects of every public kind, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        random = np.random.default_rng(0)
        self.folder, self._made = folder, 0
        prompt = np.repeat(np.arange(4), 3)
        texts = [f"response {k}" for k in range(12)]
        lengths = {"log_characters": np.arange(12.0)}
        self.pool = brm.ResponsePool(random.standard_normal((12, 3)), prompt, texts, covariates=lengths)
        self.other = brm.ResponsePool(random.standard_normal((6, 2)), np.repeat([0, 1], 3))
        self.golden = random.standard_normal(12)
        self.candidates = brm.candidates(self.pool)
        first, second = self.candidates.first, self.candidates.second
        outcome = random.integers(0, 2, len(first)).astype(float)
        self.preferences, self.votes = brm.Preferences(first, second, outcome), brm.Votes(first, second, outcome)
        self.model = brm.RewardModel(self.pool, "linear", prior_scale=1.0)
        self.posterior = brm.fit(self.model, self.pool, self.preferences[:4])
        self.point = brm.fit(self.model, self.pool, self.preferences[:4], "plugin")
        self.tree = self.posterior.to_datatree(8, log_likelihood=True)
        self.selection = brm.select(self.posterior, self.candidates, "bald", 2)
        self.lists = brm.select(self.posterior, self.candidates, "bald", 1, list_size=3)
        self.forecast = brm.forecast(self.posterior, labels=[2], draws=8)
        brm.save_pool(folder / "pool", self.pool, self.golden)
        brm.save_reward_model(folder / "model", self.posterior)
        self.short = {"model": self.model, "batch_size": 2, "progress": False}
        brm.run(self.pool, brm.GoldenAnnotator(self.golden), rounds=1, out=folder / "run", draws=4, **self.short)
        (folder / "votes.csv").write_text("first,second,outcome\n0,1,1\n3,4,0\n")
        self._begun = folder / "campaign"
        self.campaign = brm.Campaign.create(self._begun, folder / "pool", encoder="linear", prior_scale=1.0)
        self.campaign.ask(Request(size=4, design="random"))
        sheet = pd.read_csv(self.campaign.hand_out("csv")[0], dtype=str, keep_default_na=False)
        self.sheet = folder / "answers.csv"
        sheet.head(2).assign(answer="left").to_csv(self.sheet, index=False)
        self.campaign.tell(self.sheet, annotator="anna")

    def new(self) -> Path:
        """A path at which nothing is."""
        self._made += 1
        return self.folder / f"new-{self._made}"

    def copied(self) -> brm.Campaign:
        """The campaign in a folder of its own, which calls may change."""
        return brm.Campaign.open(shutil.copytree(self._begun, self.new()), self.folder / "pool")

    def renamed(self) -> brm.Campaign:
        """One with something to take back."""
        campaign = self.copied()
        campaign.rename("anna", "bert")
        return campaign

    def calls(self) -> Iterator[Call]:
        """One of each public function and class, and of what their objects offer."""
        w, some = self, brm.Comparisons([0, 3], [1, 4])

        def of(name: str, **arguments: Any) -> Call:
            return Call(name, lambda: getattr(brm, name), arguments, w)

        def on(name: str, make: Callable[[], Any], **arguments: Any) -> Call:
            return Call(name, lambda: getattr(make(), name.split(".")[1]), arguments, w)

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
            "Campaign", **{name: vars(w.campaign)[name] for name in ("directory", "store", "pool_path", "pool")}
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
        yield of("replay", pool=w.pool, votes=w.votes, designs=["random"], budget=2, seeds=1, **w.short)
        asked = brm.GoldenAnnotator(w.golden)
        yield of("run", pool=w.pool, annotator=asked, design="random", rounds=1, draws=4, **w.short)
        yield of("save_pool", path=Fresh, pool=w.pool, golden=w.golden)
        yield of("save_reward_model", path=Fresh, posterior=w.posterior)
        yield of("select", posterior=w.posterior, candidates=w.candidates, design="bald", size=2)
        for parts in (CRITERIA, SELECTORS, INFERENCES, LIKELIHOODS, ENCODERS):
            given = {"dim": 3} if parts is ENCODERS else {}
            for part in [parts[name] for name in list(parts)]:
                if inspect.signature(part).parameters:
                    yield Call(part.__name__, lambda part=part: part, given, w)

        rows, names = np.array([0]), ["log_characters"]
        yield on("ResponsePool.take", lambda: w.pool, index=rows)
        yield on("ResponsePool.rows", lambda: w.pool, index=rows)
        yield on("ResponsePool.covariate_rows", lambda: w.pool, names=names, index=rows)
        yield on("ResponsePool.with_covariates", lambda: w.pool, covariates={"lines": np.ones(12)})
        yield on("ResponsePool.holding", lambda: w.pool, names=names)
        yield on("ResponsePool.same_responses", lambda: w.pool, other=w.pool)
        yield on("Preferences.append", lambda: w.preferences, more=w.preferences)
        yield on("Preferences.from_rankings", lambda: brm.Preferences, rankings=[[0, 1, 2]])
        yield on("Votes.consensus", lambda: w.votes, pool=w.pool)
        yield on("Votes.of_prompts", lambda: w.votes, pool=w.pool, prompts=rows)
        annotator = lambda: brm.GoldenAnnotator(w.golden)  # noqa: E731
        yield on("GoldenAnnotator.label", annotator, pairs=some)
        yield on("GoldenAnnotator.rank", annotator, lists=[[0, 1]])
        yield on("GoldenAnnotator.probability", annotator, pairs=some)
        yield on("GoldenAnnotator.golden_difference", annotator, pairs=some)
        yield on("GoldenAnnotator.at_round", annotator, round_index=1)
        yield on("ReplayAnnotator.label", lambda: brm.ReplayAnnotator(w.votes), pairs=some)
        yield on("CandidateSet.without", lambda: w.candidates, pairs=some)
        design = lambda: brm.Design(BALD(), Top())  # noqa: E731
        yield on("Design.select", design, posterior=w.posterior, candidates=w.candidates, size=1)
        yield on("Criterion.with_targets", EPIG, targets=some)
        live = lambda: brm.Live(w.posterior, w.candidates, "bald")  # noqa: E731
        yield on("Live.next", live, exact=False)
        yield on("Live.tell", live, preferences=w.preferences[:1], exact=False)
        yield on("Live.relabel", live, preferences=w.preferences[:1], exact=False)
        yield on("Live.leave_out", live, pairs=some)
        yield on("Selection.explain", lambda: w.selection)
        yield on("ListSelection.explain", lambda: w.lists)
        yield on("Forecast.sentence", lambda: w.forecast, labels=2)
        for kind, own in (("RewardPosterior", lambda: w.posterior), ("Point", lambda: w.point)):
            yield on(f"{kind}.reward", own, pool=w.pool)
            yield on(f"{kind}.preference_probability", own, pool=w.pool, first=[0], second=[1])
            yield on(f"{kind}.consensus_probability", own, pool=w.pool, first=[0], second=[1])
            yield on(f"{kind}.predictive_interval", own, pool=w.pool, level=0.9)
            yield on(f"{kind}.logit_moments", own, pool=w.pool, pairs=some)
            yield on(f"{kind}.logit_covariance", own, pool=w.pool, pairs=some, others=some)
            yield on(f"{kind}.condition", own, preferences=w.preferences[:1])
            yield on(f"{kind}.to_datatree", own, draws=4)
        campaign = lambda: w.campaign  # noqa: E731
        yield on("Campaign.create", lambda: brm.Campaign, directory=Fresh, pool=w.folder / "pool", labels=False)
        yield on("Campaign.open", lambda: brm.Campaign, directory=w._begun)
        yield on("Campaign.ask", w.copied, request=1)
        yield on("Campaign.hand_out", campaign, to="csv")
        yield on("Campaign.room", campaign, list_size=3)
        yield on("Campaign.costs", campaign, words="length")
        yield on("Campaign.tell", w.copied, file=w.sheet)
        yield on("Campaign.labels", campaign)
        yield on("Campaign.export_labels", campaign, out=Fresh)
        yield on("Campaign.model", campaign, labels=w.preferences)
        yield on("Campaign.fit", campaign, model=w.model, labels=w.preferences)
        yield on("Campaign.untell", w.copied, annotators=["anna"])
        yield on("Campaign.rename", w.copied, old="anna", new="bert")
        yield on("Campaign.undo_rename", w.renamed)
        yield on("Campaign.release", w.copied, batch=1)
        yield on("Campaign.close", w.copied, batch=1)

    @cached_property
    def wrong(self) -> list[Any]:
        """Values of every kind: of each argument most of them are wrong."""
        w = self
        numbers = [
            None, True, -1, 0, 1, 3, 0.5, -0.5, math.nan, math.inf, -math.inf, 10**30, 2**63, 1e300, np.float64("nan"),
            np.int64(-1), np.array(math.nan), torch.tensor(math.nan), 1j,
        ]  # fmt: skip
        texts = [
            "", "x", "left", "\ud800", "\0", "[red]bold[/red]", "[[/]", "line\nline", "\x1b[31m", "a" * 300, b"bytes",
            "p/" * 2500, "linear", "laplace", "epig", Path("a" * 300), Path("nowhere"), w.folder,
        ]  # fmt: skip
        containers = [
            [], (), {}, set(), [[]], [[0], [1, 2]], [[0, 1]], [None], [object()], ["x"], [math.nan], [-1], [0], [0.5],
            [10**30], range(0), {"a": 1}, {"x": "y"}, {"log_characters": math.nan}, {1: 2}, (0, 1), (math.nan, 1.0),
            (w.pool, w.golden), (w.other, [0.0]), (w.pool, None), iter([0]), "ab".join, [w.folder], ["\ud800"], [[[]]],
        ]  # fmt: skip
        arrays = [
            np.zeros(0), np.zeros((2, 2, 2)), np.array(["x"]), np.array([object()]), np.zeros(3, complex), np.eye(3),
            np.array([math.nan] * 12), np.full((12, 3), math.inf), np.array([0, 10**9]), np.array([-1]), np.arange(12),
            np.array([True, False]), torch.zeros(12, dtype=torch.bfloat16), torch.ones(12, requires_grad=True),
            torch.full((12, 3), math.nan), torch.zeros(2, dtype=torch.long), torch.zeros(3, device="meta"),
            np.zeros(12, "datetime64[s]"), pd.DataFrame(), pd.Series([1.0] * 12), np.array(["a", None] * 6),
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


# --- what makes sense ------------------------------------------------------------------------------------------

Sense = Callable[[Any], bool]


def some(*kinds: Any) -> Sense:
    """One of these classes, or None where it is among them."""
    return lambda value: any(value is None if kind is None else isinstance(value, kind) for kind in kinds)


def whole(least: int, *others: Any) -> Sense:
    """A whole number of at least so much; also further classes."""
    return lambda value: (
        some(*others)(value)
        or (isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least)
    )


def real(above: float, *others: Any) -> Sense:
    """A finite number above another one."""
    return lambda value: (
        some(*others)(value)
        or (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and value > above
        )
    )


def listed(item: Sense, *others: Any) -> Sense:
    """A sequence of such items; none at all is one too."""
    return lambda value: (
        some(*others)(value)
        or (
            isinstance(value, Collection)
            and not isinstance(value, str | bytes | Mapping)
            and all(map(item, value))
        )
    )


def array(kinds: str, dimensions: int, *others: Any) -> Sense:
    """What becomes an array of numbers of such kinds, all finite and none below 0 where whole numbers are wanted."""

    def holds(value: Any) -> bool:
        if some(*others)(value):
            return True
        if isinstance(value, torch.Tensor):
            value = value.detach().float().numpy() if value.dtype == torch.bfloat16 else value.detach().numpy()
        found = np.asarray(value)
        found = found.astype(float) if found.dtype == object and "f" in kinds else found
        right = found.dtype.kind in kinds or found.size == 0
        return right and found.ndim == dimensions and bool((found >= 0).all() if kinds == "iu" else _finite(found))

    return holds


def _finite(found: np.ndarray) -> bool:
    return found.dtype.kind not in "f" or bool(np.isfinite(found).all())


def path(*others: Any) -> Sense:
    return some(str, os.PathLike, *others)


def _is_same_of_pairs(value: Any) -> bool:
    """How many pairs of answers are the same, and how many there are."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
        and 0 <= value[0] <= value[1] < math.inf
    )


pairs_like = (brm.Comparisons, brm.CandidateSet)
text = some(str)


SENSE: dict[str, Sense] = {
    "additive": some(bool),
    "agreement": lambda value: value is None or _is_same_of_pairs(value),
    "annotator": array("iuUO", 1, None, str, brm.Annotator),
    "annotators": listed(text),
    "select.annotators": listed(text, None),
    "answers": some(None, dict, Mapping),
    "InformationLessDiscrepancy.weight": real(-1e-9),
    "Campaign.create.labels": some(bool),
    "axes": whole(1),
    "batch": whole(1, None),
    "batch_size": whole(1),
    "replay.batch_size": whole(1, None),
    "batches": listed(whole(1)),
    "blocks": some(None, Mapping),
    "budget": whole(1, None),
    "candidates": whole(0, None, brm.CandidateSet),
    "chains": whole(1),
    "certificate": lambda value: value is None or callable(value) or isinstance(value, int | float | np.integer),
    "choice": array("iu", 1, None),
    "clusters": whole(1),
    "configurations": whole(1),
    "cost": lambda value: value is None or callable(value) or array("fiu", 1)(value),
    "covariates": lambda value: some(None, Mapping)(value) or listed(text)(value),
    "criterion": some(Criterion),
    "design": lambda value: some(None, Criterion, brm.Design)(value) or value == "epig",
    "designs": listed(lambda value: value == "epig"),
    "device": some(None),
    "dim": whole(1, brm.ResponsePool),
    "draws": whole(1),
    "embedding": some(None, Mapping),
    "encoder": lambda value: value == "linear" or value is None,
    "features": whole(1),
    "exclude": some(None, *pairs_like),
    "file": path(),
    "files": listed(path()),
    "first": array("iu", 1),
    "forecast": some(brm.Forecast),
    "form": some(None),
    "gain": array("fiu", 1),
    "golden": array("fiub", 1, None),
    "grades": whole(2),
    "held_out": some(None, brm.Preferences),
    "hidden": listed(whole(1)),
    "history": some(None),
    "inclusion": array("fiu", 1, None),
    "index": array("iu", 1, brm.Preferences),
    "inference": lambda value: value in (None, "laplace"),
    "input_blocks": some(None, Mapping),
    "inputs": some(None),
    "labels": lambda value: some(None, brm.Preferences)(value) or whole(1)(value) or listed(whole(1))(value),
    "likelihood": some(None, Likelihood),
    "level": real(0),
    "list_size": whole(2, None),
    "lists": array("iu", 2, None),
    "members": whole(2),
    "metrics": some(Mapping),
    "min_within": whole(0),
    "model": some(None, brm.RewardModel),
    "more": some(brm.Preferences),
    "name": some(None, str),
    "names": listed(text),
    "new": text,
    "old": text,
    "other": some(brm.ResponsePool),
    "others": some(*pairs_like),
    "out": path(None),
    "outcome": array("fiub", 1),
    "particles": whole(1),
    "pairs": some(None, *pairs_like, brm.ListSelection),
    "part": some(type),
    "path": path(),
    "per_prompt": whole(1, None),
    "per_response": whole(1, None),
    "pool": some(None, brm.ResponsePool),
    "posterior": some(None, brm.RewardPosterior, xr.DataTree),
    "power": real(0),
    "preferences": some(brm.Preferences),
    "prices": some(None),
    "prior_mean": some(None, Mapping),
    "prior_scale": real(0, None),
    "program": some(None),
    "prompt": array("iufUM", 1),
    "prompt_intercept": some(None, bool),
    "prompts": lambda value: whole(0, None)(value) or array("iu", 1, brm.Preferences)(value),
    "questions": listed(text),
    "radius": real(0),
    "rankings": lambda value: not len(value) or value == [[0, 1]],
    "rate": lambda value: value is None or 0 < value < 1,
    "reference": some(None, brm.RewardPosterior, xr.DataTree),
    "request": whole(1),
    "responses": array("iu", 1, None, brm.Preferences),
    "round": whole(0),
    "round_index": whole(0),
    "rounds": whole(1),
    "sbc": whole(0),
    "second": array("iu", 1),
    "seed": whole(0),
    "seeds": lambda value: whole(1)(value) or array("iu", 1)(value) or listed(whole(0))(value),
    "selection": some(brm.Selection, brm.ListSelection),
    "selector": some(None, Selector),
    "size": whole(1, None),
    "spectrum_power": real(-1e-9, None),
    "store": some(),
    "targets": some(None, brm.ResponsePool, *pairs_like),
    "temperature": real(0),
    "target_prompts": path(None),
    "test": lambda value: value is None or (isinstance(value, tuple) and isinstance(value[0], brm.ResponsePool)),
    "test_share": real(0),
    "texts": some(None),
    "threshold": real(1, None),
    "thresholds": some(None),
    "tie": real(0, None),
    "ties": some(None),
    "users": some(None, Mapping),
    "votes": some(brm.Votes),
    "warmup": whole(1),
    "weight": array("fiu", 1, None),
    "without": listed(text),
    "workers": whole(1),
    "worst": array("iuf", 1, None),
}
"""What each argument of that name may be; of those that are not here nothing but a flag is."""

ARGUED = {
    "Campaign.by": "whoever decides may be called anything",
    "Campaign.reason": "a reason may be any text",
    "Campaign.directory": "Campaign(...) takes what create and open found; nobody else calls it",
    "Campaign.pool_path": "likewise",
    "Forecast.counted": "the figures of a forecast are those that forecast computed",
    "Forecast.design": "the name of a design of one's own",
    "Forecast.later": "likewise",
    "ListSelection.design": "the name of a design of one's own",
    "Selection.design": "the name of a design of one's own",
    "ListSelection.gain": "a gain is what the design computed, NaN or below 0 where its numbers are bad",
    "Selection.gain": "likewise",
    "Preferences.annotator": "any labels, numbers too",
    "Votes.annotator": "likewise",
    "Selection.annotator": "likewise",
    "load_preferences.pool": "a file of row numbers needs no pool, so none is opened",
    "load_votes.pool": "likewise",
    "load_reward_model.encoder": "only a model of one's own is asked for, and this one is linear",
    "load_reward_model.base": "only a fine-tuned encoder has a base, and this one is none",
    "register.part": "a part that is registered already stays",
    "ResponsePool.texts": "texts are a sequence of as many, in whatever container",
}
"""What is taken although it makes no sense by its name, and why."""


@dataclass(frozen=True)
class Outcome:
    """What became of a wrong call.

    Parameters
    ----------
    kind
        "sentence", "works", "silent" where it works and should not, "bare" where something else was raised.
    said
        What was raised.
    """

    kind: str
    said: str = ""


def outcome(call: Call, parameter: str, value: Any) -> Outcome:
    """Call it, with one argument replaced."""
    try:
        call(**{parameter: value})
    except BayesRMError as error:
        said = str(error)
        one = said.strip() and "\n" not in said and len(said) < 1500
        return Outcome("sentence" if one else "bare", f"{type(error).__name__}: {said!r}")
    except Exception as error:
        at = [place for place in traceback.extract_tb(error.__traceback__) if "/bayesrm/" in place.filename][-1:]
        where = f" at {Path(at[0].filename).name}:{at[0].lineno}" if at else ""
        return Outcome("bare", f"{type(error).__name__}: {str(error)[:100]!r}{where}")
    return Outcome("works" if makes_sense(call, parameter, value) else "silent")


def makes_sense(call: Call, parameter: str, value: Any) -> bool:
    """Whether an argument of this name may be that, or is taken for a reason."""
    group = call.name.split(".")[0]
    if {f"{call.name}.{parameter}", f"{group}.{parameter}"} & ARGUED.keys():
        return True
    try:
        own = SENSE.get(parameter, some(bool, np.bool_))
        return SENSE.get(f"{call.name}.{parameter}", own)(value)
    except (TypeError, ValueError, RuntimeError):
        return False


def shown(value: Any) -> str:
    """A value in a table."""
    try:
        return f"{type(value).__name__} {' '.join(repr(value).split()):.60}"
    except RuntimeError:
        return type(value).__name__
