"""``bayesrm explain``: why a run or a campaign asked these pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import app, say


@app.command(
    epilog="Example:  [bold]bayesrm explain runs/first --pool data/quickstart/pool --round 1[/bold], or of a campaign "
    "[bold]bayesrm explain runs/labels --batch 2[/bold]",
)
def explain(
    directory: Annotated[
        Path,
        typer.Argument(
            help="Folder of a campaign, or of a run; of several runs, the one with a posterior in results.nc."
        ),
    ],
    pool: Annotated[
        Path | None,
        typer.Option(help="The run's pool: its posterior is fitted again. Of a campaign, if it was moved."),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "--round",
            "--batch",
            min=0,
            help="Which round of a run, from 0, or batch of a campaign; default the last.",
        ),
    ] = None,
) -> None:
    """Why these pairs: probability, Fisher weight, variance of the logit and gain of each, as a table and a figure.

    Of lists there is a table: the reward of each response, how sure it is, and the probability that it is the best.
    """
    from bayesrm.inspection.explain import explain_folder

    explanation, files = explain_folder(directory, pool, number)
    say(str(explanation))
    say(f"\nWritten: {', '.join(map(str, files))}.")
