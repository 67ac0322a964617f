"""``bayesrm study``: what is declared in the folder ``studies``, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import app, keeps, say
from bayesrm.cli.lists import print_lines
from bayesrm.cli.options import Scheduler, Workers
from bayesrm.cli.runs import incomplete
from bayesrm.utils.checkout import STUDIES


@app.command(epilog="Example:  [bold]bayesrm study annotation_efficiency --tiny --out runs/look[/bold]")
def study(
    name: Annotated[str | None, typer.Argument(help="Which study; without a name they are listed.")] = None,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="A small setting, for a look; its numbers say nothing.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the study; default runs/NAME.")] = None,
    pool: Annotated[
        list[Path] | None,
        typer.Option(help="Folder with pools 'pool' and 'test', several for several; or one pool, with --test."),
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Test pool with golden rewards.")] = None,
    paper_data: Annotated[
        Path | None, typer.Option(help="Folder with the paper's embd_*.npy and reward_*.npy.")
    ] = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    studies: Annotated[Path, typer.Option(help="Folder of the studies' files.")] = STUDIES,
) -> None:
    """Run a study, or go on with it: its runs, figures, tables, and the answer to its question.

    What is finished in its folder is not run again, whatever happened to the command that ran it.
    """
    from bayesrm import study as engine

    if name is None:
        print_lines(engine.studies(studies))
        return
    out = Path("runs") / f"{name}{'-tiny' if tiny else ''}" if out is None else out
    keeps(out)
    from bayesrm.reports.studies import write_study_report
    from bayesrm.runs.results import RESULTS_FILE
    from bayesrm.study.output import findings, require_answer, write_findings

    declared = engine.load_study(name, tiny, studies, paper=paper_data is not None)
    require_answer(declared)
    given = pool or test is not None or paper_data is not None
    pools = engine.study_pools(pool or (), test, paper_data) if given else None
    results = engine.run_study(declared, out, pools, workers, scheduler)
    found = findings(results)
    written = [out / RESULTS_FILE, *write_findings(results, found), write_study_report(results, found)]
    say(declared.title, bold=True)
    say(f"{declared.question}\n")
    say(found.answer)
    if tiny:
        say("This was the tiny setting: the numbers say nothing.")
    say(f"\nWritten: {', '.join(map(str, written))}.")
    if results.failures:
        incomplete(dict(results.failures), out)
