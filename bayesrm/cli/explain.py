"""``bayesrm explain``: why a run asked these pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import app, say


@app.command(
    epilog="Example:  [bold]bayesrm explain runs/first --pool data/quickstart/pool --round 1[/bold]",
)
def explain(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run; of several, the one with a posterior in results.nc.")
    ],
    pool: Annotated[Path, typer.Option(help="The run's pool: its posterior is fitted again.")],
    round_index: Annotated[
        int | None, typer.Option("--round", min=0, help="Which round, from 0; default the last.")
    ] = None,
) -> None:
    """Why these pairs: probability, Fisher weight, variance of the logit and gain of each, as a table and a figure."""
    from bayesrm.inspection.explain import explain_run

    explanation, files = explain_run(run, pool, round_index)
    say(str(explanation))
    say(f"\nWritten: {', '.join(map(str, files))}.")
