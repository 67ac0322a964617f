"""``bayesrm diagnose``: how far to trust the posterior of a run or of a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import app, complain, say


@app.command(
    epilog="Example:  [bold]bayesrm diagnose runs/first --pool data/quickstart/pool --test data/quickstart/test "
    "--sbc 50[/bold]"
)
def diagnose(
    directory: Annotated[
        Path,
        typer.Argument(
            help="Folder of a campaign, or of a finished run; of several runs, the one with a posterior in results.nc."
        ),
    ],
    pool: Annotated[
        Path | None,
        typer.Option(
            help="A run's pool: its posterior is fitted again, for the options below. Of a campaign, if it was moved."
        ),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Test pool with golden rewards, for calibration and coverage.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Inference to hold the posterior against, on the same labels, such as nuts.")
    ] = None,
    sbc: Annotated[
        int,
        typer.Option(min=0, help="Simulated data sets for simulation-based calibration; 100 is a good number."),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Root of all random choices.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes for the simulation, of one thread each.")] = 1,
) -> None:
    """How far to trust a posterior: verdicts in words, and a page with figures in the folder of its run or campaign.

    Of a run some checks read the folder alone, others need --pool, --test, --reference or --sbc: see bayesrm checks.
    A campaign is also held against its own answers: a learning curve, calibration, and how each annotator answers.
    """
    from bayesrm.inspection.diagnose import diagnose_folder
    from bayesrm.runs.checksums import changed_files

    for sentence in changed_files(directory):
        complain(sentence)
    diagnosis, page = diagnose_folder(directory, pool, test, reference, sbc, seed, workers)
    say(str(diagnosis))
    say(f"\nThe page is {page}.")
