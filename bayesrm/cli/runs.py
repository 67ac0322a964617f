"""``bayesrm demo``, ``run`` and ``report``: campaigns simulated on a pool with golden rewards."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bayesrm.cli.app import View, app, complain, fits, keeps, say, show
from bayesrm.cli.options import Scheduler, Workers, from_options, with_options
from bayesrm.errors import InvalidInputError
from bayesrm.runs.config import RunConfig
from bayesrm.utils.checkout import QUICKSTART
from bayesrm.utils.wording import counted

if TYPE_CHECKING:
    import pandas as pd

DEMO_DESIGNS = ("pa-dopt", "entropy", "random")
DEMO_INFERENCES = ("plugin", "laplace")
COMPARED = ("inference", "design")
"""Settings of which ``bayesrm run`` takes several values; the last varies fastest."""


@app.command(epilog="Example:  [bold]bayesrm demo --out demo[/bold]")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for results.nc, learning_curves.png and report.html.")] = Path(
        "demo"
    ),
    data: Annotated[Path, typer.Option(help="Folder with the pools 'pool' and 'test'.")] = QUICKSTART,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions of each run.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="Labelling rounds of each run.")] = 6,
    workers: Workers = 2,
) -> None:
    """The quickstart: three designs with a plug-in and a Bayesian reward model, on data/quickstart.

    Both are linear Bradley–Terry models on the embeddings: the plug-in at its maximum-likelihood point, the
    other with a prior chosen by evidence and its posterior. Prints a table and what it means, and writes a results
    file, a plot and a report. Run again with more --rounds, it goes on from where it was.
    """
    keeps(out)
    configs = [
        RunConfig(
            pool=data / "pool",
            test=data / "test",
            scope="cross-prompt",
            encoder="linear",
            inference=inference,
            design=design,
            batch_size=50,
            rounds=rounds,
            prompts=100,
            candidates=10_000,
            log_likelihood=True,
            temperature=2.0,
            seed=seed,
        )
        for seed in range(seeds)
        for inference in DEMO_INFERENCES
        for design in DEMO_DESIGNS
    ]
    _sweep_and_show(configs, out, workers)


@app.command(
    epilog="Example:  [bold]bayesrm run data/quickstart/pool --test data/quickstart/test --design pa-dopt "
    "--design random --inference laplace --batch-size 25 --rounds 4 --seeds 2 --out runs/first[/bold]"
)
@with_options(RunConfig, leave_out=("pool", "seed"), several=COMPARED)
def run(
    pool: Annotated[
        Path, typer.Argument(help="Pool with golden rewards: a directory, .npz, or the paper's embd_*.npy.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the runs; unfinished ones in it continue.")],
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Repetitions, with seeds 0, 1, …")] = 1,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    **settings: Any,
) -> None:
    """Simulate active reward modeling on a pool with golden rewards, from the first label on."""
    keeps(out)
    values = [[*dict.fromkeys(settings.pop(name, [None]))] for name in COMPARED]
    configs = [
        from_options(RunConfig, settings | dict(zip(COMPARED, combination, strict=True), pool=pool, seed=seed))
        for seed in range(seeds)
        for combination in product(*values)
    ]
    _look_at_test(configs[0])
    _sweep_and_show(configs, out, workers, scheduler)


@app.command(epilog="Example:  [bold]bayesrm report runs/first[/bold]")
def report(
    directory: Annotated[Path, typer.Argument(help="Folder of finished or running runs, or of a campaign.")],
    pool: Annotated[Path | None, typer.Option(help="Where the pool of a campaign is, if it was moved.")] = None,
) -> None:
    """Write tables and figures of a folder of runs, or of a campaign, as one self-contained HTML file in it.

    Of a campaign: whether to go on, progress and quality, its learning curve, its annotators, and why it asked what it
    asked last.
    """
    from bayesrm.inspection.report import write_report
    from bayesrm.runs.checksums import changed_files

    for sentence in changed_files(directory):
        complain(sentence)
    say(f"The report is {write_report(directory, pool)}.")


def _look_at_test(config: RunConfig) -> None:
    """Say that nothing will be measured without a test set, and refuse one that is the pool itself."""
    if not config.pool.exists():
        return
    if config.test is None:
        say("No --test: pairs are chosen and learned from, and nothing is measured of what is learned.")
        return
    if not config.test.exists():
        return
    from bayesrm.data import load_pool

    same = config.pool.resolve() == config.test.resolve() or load_pool(config.pool) == load_pool(config.test)
    if same:
        raise InvalidInputError(
            f"expected a test set of other prompts, and {config.test} is the pool that is learned from: figures on it "
            "would say how well labels are remembered; keep some prompts out of the pool, or leave --test out"
        )


def _sweep_and_show(configs: list[RunConfig], out: Path, workers: int, scheduler: str | None = None) -> None:
    from bayesrm.evaluation.summary import final_table, headroom_verdict, length_verdict, verdict
    from bayesrm.plots.runs import learning_curves, save
    from bayesrm.reports.runs import write_report
    from bayesrm.runs.combine import combine
    from bayesrm.runs.results import RESULTS_FILE, keep_results
    from bayesrm.runs.sweep import cells_of, sweep

    if not configs[0].pool.exists():
        raise InvalidInputError(f"there is no pool {configs[0].pool}")
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"expected --out to be a folder, and {out} is a file")
    cells = cells_of(configs, out)
    failures = sweep(cells, out, workers, scheduler, counted(len(configs), "run"))
    results = combine([cell.folder for cell in cells], posterior=True)
    keep_results(results, out)
    trajectory = results["trajectory"].to_dataset()
    written = [out / RESULTS_FILE]
    if "one_minus_spearman" in trajectory:
        table = final_table(trajectory)
        _print_table(table)
        say(" ".join(filter(None, (verdict(table), length_verdict(trajectory), headroom_verdict(trajectory)))))
        written.append(out / "learning_curves.png")
        save(learning_curves(trajectory), written[-1])
    written.append(write_report(out))
    say(f"\nWritten: {', '.join(map(str, written))}; each run, with its posterior, is below {out / 'runs'}.")
    if failures:
        incomplete(failures, out)


def incomplete(failures: dict[str, str], out: Path) -> NoReturn:
    """Status 1: the rest is done, and what failed was said when it failed."""
    traces = out / "failures"
    where = f"; their tracebacks are in {traces}" if traces.is_dir() and any(traces.iterdir()) else ""
    complain(f"{counted(len(failures), 'run')} failed{where}.")
    sys.exit(1)


def _print_table(table: pd.DataFrame) -> None:
    """The table of a comparison; where a terminal is too narrow for it, without its last metrics rather than cut."""
    columns = {
        "one_minus_spearman": "1−Spearman ↓",
        "difference": "vs random",
        "best_of_n": f"best of {table['n'].max()} ↑" if "n" in table else "best of N ↑",
        "log_loss": "log loss ↓",
    }
    columns = {name: header for name, header in columns.items() if name in table}
    shown = dict(columns)
    while not fits(view := _view(table, shown)) and len(shown) > 1:
        shown.popitem()
    show(view)
    hidden = [header for name, header in columns.items() if name not in shown]
    if hidden:
        say(f"A wider terminal shows {' and '.join(hidden)} too, and so does the report.")


def _view(table: pd.DataFrame, shown: dict[str, str]) -> View:
    from bayesrm.evaluation.summary import cell, setting, setting_columns

    seeds = table["seeds"].max()
    title = f"After {counted(table['labels'].max(), 'label')}"
    view = View(title if seeds == 1 else f"{title}, mean ± standard error over {seeds} seeds")
    view.add_column("design", no_wrap=True)
    for header in shown.values():
        view.add_column(header, justify="right", no_wrap=True)
    for _, rows in table.groupby(setting_columns(table), sort=False):
        view.add_row(setting(rows.iloc[0], table), style="bold")
        for _, row in rows.sort_values("one_minus_spearman").iterrows():
            view.add_row(f"  {row['design']}", *(cell(row, name) for name in shown))
        view.add_section()
    return view
