"""Ratios against naive implementations of the same thing, in the same run, on one thread.

    python tests/benchmarks/run.py --out bench.json
    python tests/benchmarks/run.py --only greedy_over_all_pairs --only next_of_all_pairs
    python tests/benchmarks/run.py --only growth --plot growth.png

Times are the processor's, medians over alternating repetitions; results are checked to be the same before they are
timed. Last comes how the time of greedy grows with the responses, the batch and the features, as numbers and a plot.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from blocks import fits_of_auto, kernel_over_all_pairs
from inference import laplace_against_laplace_torch, nuts_against_plain_pyro
from many_features import fit_and_choose, other_fits
from rich.console import Console
from rich.table import Table

import bayesrm as brm
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.candidates.tiles import TILE
from bayesrm.design.live import Live
from bayesrm.inference.fitting.newton import maximise
from bayesrm.models.likelihoods.bradley_terry import BradleyTerry
from bayesrm.models.log_joint import CentredPrior, LabelledDifferences, LogJoint
from bayesrm.types import Comparisons
from bayesrm.utils.versions import versions


def alternate(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Median seconds of both, and their ratio; A B A B … so that a slow moment hits both."""
    times: dict[str, list[float]] = {"ours": [], "reference": []}
    for _ in range(repeats):
        for name, function in (("ours", ours), ("reference", theirs)):
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "seconds": median["ours"],
        "reference_seconds": median["reference"],
        "times_faster": statistics.median(
            theirs / ours for ours, theirs in zip(times["ours"], times["reference"], strict=True)
        ),
    }


def posterior_and_candidates(pairs: int, d: int) -> tuple[brm.RewardPosterior, CandidateSet]:
    """A linear Laplace posterior of 500 labels, and random cross-prompt candidates of 5,000 responses."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((5000, d)) * np.geomspace(1, 0.1, d)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(500), 10))
    annotator = brm.GoldenAnnotator(embeddings @ random.standard_normal(d), seed=0)
    prefs = annotator.label(brm.candidates(pool, "cross-prompt", size=500, seed=1))
    posterior = brm.fit(brm.RewardModel(d, "linear", prior_scale=0.3), pool, prefs)
    return posterior, brm.candidates(pool, "cross-prompt", prompts=None, size=pairs, seed=2, exclude=prefs)


def information_terms(posterior: Any, candidates: CandidateSet) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Λ, z of every candidate and its expected Fisher weight, as anybody would write them."""
    features = posterior.features(candidates.pool)
    z = features[candidates.first] - features[candidates.second]
    mean, variance = posterior.logit_moments(candidates.pool, Comparisons(candidates.first, candidates.second))
    precision = posterior.information_cholesky @ posterior.information_cholesky.T
    return precision, z, posterior.likelihood.expected_fisher_weight(mean, variance)


def gradient_against_autograd() -> dict[str, Any]:
    """Gradient selector, 20,000 pairs, d = 64, against a pairs × d × d tensor and autograd of log det."""
    posterior, candidates = posterior_and_candidates(20_000, 64)

    def naive() -> set[int]:
        precision, z, w = information_terms(posterior, candidates)
        outer = (z[:, :, None] * z[:, None, :]) * w[:, None, None]
        include = torch.ones(len(z), dtype=torch.float64, requires_grad=True)
        (include[:, None, None] * outer).sum(dim=0).add(precision).logdet().backward()
        return set(include.grad.topk(500).indices.tolist())

    def ours() -> brm.Selection:
        return brm.select(posterior, candidates, "pa-dopt", 500, selector="gradient")

    batch, expected = ours(), naive()
    asked = set(zip(batch.first.tolist(), batch.second.tolist(), strict=True))
    assert asked == {(int(candidates.first[m]), int(candidates.second[m])) for m in expected}
    return alternate(ours, naive, 3)


def greedy_against_determinants() -> dict[str, Any]:
    """Greedy, 20,000 pairs, d = 64, 100 picks, against one solve for all pairs at every pick."""
    posterior, candidates = posterior_and_candidates(20_000, 64)

    def naive() -> list[int]:
        precision, z, w = information_terms(posterior, candidates)
        chosen: list[int] = []
        for _ in range(100):
            gains = torch.log1p(w * (z * torch.linalg.solve(precision, z.T).T).sum(dim=1))
            gains[chosen] = -1.0
            best = int(gains.argmax())
            precision = precision + w[best] * torch.outer(z[best], z[best])
            chosen.append(best)
        return chosen

    def ours() -> brm.Selection:
        return brm.select(posterior, candidates, "pa-dopt", 100)

    batch, expected = ours(), naive()
    assert batch.first.tolist() == candidates.first[expected].tolist()
    assert batch.second.tolist() == candidates.second[expected].tolist()
    return alternate(ours, naive, 3)


def greedy_at_full_size() -> dict[str, Any]:
    """Greedy, 20,000 pairs, d = 64, 500 picks, against the gradient selector on the same: what exactness costs."""
    posterior, candidates = posterior_and_candidates(20_000, 64)
    return alternate(
        lambda: brm.select(posterior, candidates, "pa-dopt", 500),
        lambda: brm.select(posterior, candidates, "pa-dopt", 500, selector="gradient"),
        3,
    )


def implicit(n: int, d: int, plug_in: bool) -> tuple[brm.RewardPosterior, CandidateSet]:
    """A linear posterior of 500 labels, and all pairs of n responses."""
    random = np.random.default_rng(0)
    embeddings = (random.standard_normal((n, d)) * np.geomspace(1, 0.1, d)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.arange(n) // 10)
    annotator = brm.GoldenAnnotator(embeddings @ random.standard_normal(d), seed=0)
    prefs = annotator.label(brm.candidates(pool, "cross-prompt", size=500, seed=1))
    model = brm.RewardModel(d, "linear", prior_scale=0.3)
    posterior = brm.fit(model, pool, prefs, "plugin" if plug_in else "laplace")
    return posterior, brm.candidates(pool, "cross-prompt", prompts=None, size=None, exclude=prefs)


def bare_gram(n: int, d: int) -> None:
    """All inner products of n rows, above the diagonal, in tiles of single precision; nothing is kept."""
    parts = torch.ones(n, d, dtype=torch.float32).split(TILE)
    for across, columns in enumerate(parts):
        for rows in parts[: across + 1]:
            rows @ columns.T


def measure_apart(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """In a process of its own, so that the peak of its memory is its own too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_with_peak, function).result()


def _with_peak(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    torch.set_num_threads(1)
    measured = function()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
    return {**measured, "peak_gigabytes": peak / 1024**3}


def time_implicit(
    n: int, k: int, d: int, plug_in: bool, selector: str, repeats: int = 3, kernel: bool = False
) -> dict[str, Any]:
    """Selection of k among all pairs of n responses, against the bare Gram product of as many."""
    posterior, candidates = kernel_over_all_pairs(n, d) if kernel else implicit(n, d, plug_in)

    def ours() -> brm.Selection:
        return brm.select(posterior, candidates, "pa-dopt", k, selector=selector)

    if n <= 5_000:
        ours()
    setting = {"n": n, "k": k, "d": d, "pairs": len(candidates), "selector": selector}
    measured = alternate(ours, lambda: bare_gram(n, d), repeats)
    # The certificate is one more pass over the candidates, made when it is asked for.
    batch = ours()
    start = time.process_time()
    assert batch.shortfall is not None
    return {**setting, **measured, "seconds_of_the_certificate": time.process_time() - start}


def greedy_over_all_pairs() -> dict[str, Any]:
    """Greedy, all 12.5 million pairs of 5,000 responses, d = 64, 500 picks, against one bare Gram product."""
    return measure_apart(partial(time_implicit, 5_000, 500, 64, False, "greedy"))


def greedy_over_all_pairs_with_a_kernel() -> dict[str, Any]:
    """Greedy, all 12.5 million pairs of 5,000 responses, 512 kernel features, against one bare Gram product."""
    return measure_apart(partial(time_implicit, 5_000, 500, 512, False, "greedy", 1, True))


def lists_over_all_prompts(
    prompts: int = 40_000, each: int = 10, lists: int = 10_000, d: int = 64
) -> dict[str, Any]:
    """10,000 lists of four from 40,000 × 10 responses, d = 64, against a batch of pairs of as many texts."""
    return measure_apart(partial(_time_lists, prompts, each, lists, d))


def _time_lists(prompts: int, each: int, lists: int, d: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((prompts * each, d)).astype(np.float32)
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(prompts), each))
    annotator = brm.GoldenAnnotator(embeddings @ random.standard_normal(d), seed=0)
    prefs = annotator.label(brm.candidates(pool, prompts=200, size=500, seed=1))
    posterior = brm.fit(brm.RewardModel(d, "linear", prior_scale=0.3), pool, prefs)
    candidates = brm.candidates(pool, prompts=None, size=None, exclude=prefs)
    return alternate(
        lambda: brm.select(posterior, candidates, "pa-dopt", lists, list_size=4),
        lambda: brm.select(posterior, candidates, "pa-dopt", 2 * lists),
        1,
    )


def features_many_more_than_labels() -> dict[str, Any]:
    """3,000 features of 200 responses: in the span of the labels, against matrices of all features."""
    rows = {name: alternate(*timed, repeats=1) for name, timed in other_fits().items()}
    sizes = {"features": 3000, "responses": 200, "labels": 100}
    return sizes | alternate(*fit_and_choose(), repeats=1) | {"rows": rows}


def auto_on_ten_blocks() -> dict[str, Any]:
    """encoder="auto" on seven layers and covariates, 1,000 labels, against the last layer alone.

    Then the same where rewards are not linear.
    """
    return alternate(*fits_of_auto(), 3) | {"rows": {"not linear": alternate(*fits_of_auto(curved=True), 3)}}


def gradient_over_all_pairs(n: int = 20_000) -> dict[str, Any]:
    """Gradient with plug-in weights, all pairs of 20,000 responses, d = 64, against one bare Gram product."""
    return measure_apart(partial(time_implicit, n, 500, 64, True, "gradient"))


def gradient_over_a_billion_pairs() -> dict[str, Any]:
    """Gradient with plug-in weights, 1.25 billion pairs of 50,000 responses, against one bare Gram product."""
    return measure_apart(partial(time_implicit, 50_000, 500, 64, True, "gradient", 1))


def next_pair(posterior: brm.RewardPosterior, candidates: CandidateSet, labels: int = 15) -> dict[str, Any]:
    """One label after another: refit and the next pair, against selecting one pair anew."""
    live, random = Live(posterior, candidates, "pa-dopt"), np.random.default_rng(0)
    live.next()
    answers: list[brm.Preferences] = []

    def ours() -> brm.Selection:
        asked = live.next()
        answers.append(brm.Preferences(asked.first, asked.second, random.integers(2, size=1)))
        live.tell(answers[-1])
        return live.next()

    def theirs() -> brm.Selection:
        told = answers[0]
        for answer in answers[1:]:
            told = told.append(answer)
        return brm.select(posterior.condition(told), candidates.without(told), "pa-dopt", 1)

    for _ in range(3):
        batch, expected = ours(), theirs()
        assert (batch.first[0], batch.second[0]) == (expected.first[0], expected.second[0])
    return alternate(ours, theirs, labels)


def next_of_a_list() -> dict[str, Any]:
    """The next pair after one label, from 20,000 pairs, d = 64, against selecting anew."""
    return next_pair(*posterior_and_candidates(20_000, 64))


def next_of_all_pairs() -> dict[str, Any]:
    """The next pair after one label, from all 12.5 million pairs of 5,000 responses, d = 64, against selecting anew."""
    return next_pair(*implicit(5_000, 64, False))


def growth() -> list[dict[str, Any]]:
    """How the time of greedy, and of the gradient selector, grows with n, k and d, one at a time."""
    settings = {
        "greedy": [(n, 100, 64) for n in (1_250, 2_500, 5_000)]
        + [(2_500, k, 64) for k in (50, 200, 400)]
        + [(2_500, 100, d) for d in (16, 32, 128)],
        "gradient": [(n, 100, 64) for n in (2_500, 5_000, 10_000)]
        + [(5_000, k, 64) for k in (50, 200, 400)]
        + [(5_000, 100, d) for d in (16, 32, 128)],
    }
    return [
        time_implicit(n, k, d, selector == "gradient", selector, 1)
        for selector, rest in settings.items()
        for n, k, d in rest
    ]


def draw_growth(results: list[dict[str, Any]], path: Path) -> None:
    """Seconds over n, k and d, each with the other two fixed; a line a selector."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    names = {"n": "responses n", "k": "pairs chosen k", "d": "features d"}
    columns = figure.subplots(1, 3, sharey=True)
    for selector, colour in (("greedy", "#0072B2"), ("gradient", "#D55E00")):
        own = [result for result in results if result["selector"] == selector]
        usual = {name: statistics.mode(result[name] for result in own) for name in names}
        fixed = ", ".join(f"{name} = {value:,}" for name, value in usual.items())
        for axes, name in zip(columns, names, strict=True):
            line = [r for r in own if all(r[other] == usual[other] for other in names if other != name)]
            line.sort(key=lambda result: result[name])
            points = [result[name] for result in line], [result["seconds"] for result in line]
            axes.loglog(*points, "o-", color=colour, label=f"{selector} (else {fixed})")
    for axes, (name, label) in zip(columns, names.items(), strict=True):
        axes.set_xlabel(label)
        ticks = sorted({result[name] for result in results})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=45)
        axes.minorticks_off()
        axes.grid(alpha=0.25, which="both")
    columns[0].set_ylabel("seconds, one thread")
    figure.legend(*columns[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(path, dpi=120)


def newton_against_lbfgs() -> dict[str, Any]:
    """Exact MAP and evidence, N = 10,000, d = 64, against L-BFGS to the same mode and a Hessian by autograd."""
    random = np.random.default_rng(0)
    z = torch.from_numpy(random.standard_normal((10_000, 64)))
    outcome = (torch.sigmoid(z @ torch.from_numpy(random.standard_normal(64) * 0.3)) > 0.5).double()
    data = LabelledDifferences(z, outcome, torch.ones(10_000, dtype=torch.float64))
    precision = torch.ones(64, dtype=torch.float64)

    def negative_log_joint(beta: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(z @ beta).sum() - (outcome * (z @ beta)).sum() + 0.5 * beta @ beta

    def naive() -> torch.Tensor:
        beta = torch.zeros(64, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [beta], max_iter=500, tolerance_grad=1e-7, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = negative_log_joint(beta)
            loss.backward()
            return loss

        optimizer.step(closure)
        torch.linalg.cholesky(torch.autograd.functional.hessian(negative_log_joint, beta.detach()))
        return beta.detach()

    def ours() -> torch.Tensor:
        return maximise(LogJoint(BradleyTerry(), data, CentredPrior(precision))).beta

    torch.testing.assert_close(ours(), naive(), atol=1e-6, rtol=1e-6)
    return alternate(ours, naive, 5)


BENCHMARKS = (
    # First: a new process inherits the peak of memory of the one that starts it.
    greedy_over_all_pairs,
    gradient_over_all_pairs,
    greedy_over_all_pairs_with_a_kernel,
    lists_over_all_prompts,
    auto_on_ten_blocks,
    features_many_more_than_labels,
    gradient_against_autograd,
    greedy_against_determinants,
    greedy_at_full_size,
    next_of_a_list,
    next_of_all_pairs,
    newton_against_lbfgs,
    nuts_against_plain_pyro,
    laplace_against_laplace_torch,
)


def main() -> None:
    """Run all, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    parser.add_argument("--full", action="store_true", help="also 1.25 billion pairs: a minute more")
    parser.add_argument("--only", action="append", help="by name, or growth; default all")
    parser.add_argument("--plot", type=Path, help="of how time grows; default beside the numbers, as SVG")
    arguments = parser.parse_args()
    out = arguments.out
    torch.set_num_threads(1)
    results = []
    table = Table("benchmark", "seconds", "reference", "times faster", "peak GB")
    everything = (*BENCHMARKS, *([gradient_over_a_billion_pairs] if arguments.full or arguments.only else []))
    for benchmark in everything:
        if arguments.only and benchmark.__name__ not in arguments.only:
            continue
        measured = benchmark()
        if measured is None:  # what it is held against is not installed
            continue
        description = (benchmark.__doc__ or "").strip().splitlines()[0].removesuffix(".")
        results.append({"name": benchmark.__name__, "description": description, **measured})
        figures = ("seconds", "reference_seconds", "times_faster", "peak_gigabytes")
        table.add_row(description, *(f"{measured[key]:.3g}" if key in measured else "" for key in figures))
    machine = {"python": platform.python_version(), "machine": platform.machine(), "threads": 1}
    report = {"machine": machine, "versions": versions(), "results": results}
    written = [out]
    if not arguments.only or "growth" in arguments.only:
        report["growth"] = growth()
        written.append(arguments.plot or out.with_suffix(".svg"))
        draw_growth(report["growth"], written[-1])
    out.write_text(json.dumps(report, indent=2) + "\n")
    Console().print(table)
    print(f"Written: {', '.join(map(str, written))}")


if __name__ == "__main__":
    main()
