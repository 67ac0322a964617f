"""``bayesrm compare``: which model of the same answers to believe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import View, app, say, show


@app.command(
    epilog="Example:  [bold]bayesrm compare runs/labels --encoder auto --encoder linear --likelihood bradley-terry "
    "--likelihood thurstone[/bold]"
)
def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of campaigns or finished runs, of the same answers.")
    ],
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Fit with this one, see [bold]bayesrm encoders[/bold]. Repeat it to compare several."),
    ] = None,
    likelihood: Annotated[
        list[str] | None,
        typer.Option(help="See [bold]bayesrm likelihoods[/bold]. Repeat it to compare several."),
    ] = None,
    inference: Annotated[
        list[str] | None,
        typer.Option(help="See [bold]bayesrm inferences[/bold]. Repeat it to compare several."),
    ] = None,
    pool: Annotated[
        Path | None,
        typer.Option(help="Of runs: their posteriors are fitted again. Of campaigns, if it was moved."),
    ] = None,
    draws: Annotated[int, typer.Option(min=100, help="Posterior draws of each.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Root of the draws.")] = 0,
) -> None:
    """Compare models of the same answers by evidence and by how well they predict answers left out (PSIS-LOO).

    Name several folders, or one and several encoders, likelihoods or inferences, of which every combination is fitted.
    Runs are of the same answers where they differ in the model only and their design asks at random.
    """
    from bayesrm.inspection.compare import compare_folders, sentence, shown

    variants = {"encoder": encoder or [], "likelihood": likelihood or [], "inference": inference or []}
    table = compare_folders(folders, pool, variants, draws, seed)
    view = View("Models of the same answers, the best first")
    view.add_column("model")
    for header in ("log evidence", "elpd of left out", "behind", "parameters", "weight", "worst k̂"):
        view.add_column(header, justify="right", no_wrap=True)
    for row in shown(table):
        view.add_row(*row)
    show(view)
    say(sentence(table))
