"""``bayesrm fit``: a reward model from the labels that a pool came with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bayesrm.cli.app import app, say
from bayesrm.cli.campaign.outlook import print_outlook
from bayesrm.cli.options import from_options, with_options
from bayesrm.runs.settings import CampaignSettings


@app.command(
    epilog="Example:  [bold]bayesrm fit mine/pool && bayesrm export mine/pool/fit --to models/mine[/bold]"
)
@with_options(CampaignSettings)
def fit(
    pool: Annotated[
        Path, typer.Argument(help="Pool, with labels as bayesrm embed makes it of compared answers, or without.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for posterior.nc, card.json and labels.parquet; default fit/ in the pool."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="A file of labels beside those of the pool, which may have none: in any form of [bold]bayesrm "
            "formats[/bold], whose pairs are found by their texts, or with the columns first, second and outcome, of "
            "row numbers of the pool."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Root of every random choice.")] = 0,
    **settings: Any,
) -> None:
    """Fit the reward model to the labels of a pool, and say what it is worth; posterior.nc opens in ArviZ.

    What a campaign about the same pool would find before it asks anything.
    """
    from bayesrm.inspection.fit import fit_pool

    from_options(CampaignSettings, settings)
    fitted = fit_pool(pool, out, labels, seed, **settings)
    say(str(fitted.origin))
    print_outlook(fitted.findings)
    files = ", ".join(map(str, fitted.files))
    say(f"\nWritten: {files}. Next: bayesrm export {fitted.files[0].parent} --to MODEL")
