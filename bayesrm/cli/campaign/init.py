"""``bayesrm campaign init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import campaign_app
from bayesrm.cli.options import from_options, with_options
from bayesrm.runs.settings import CampaignSettings
from bayesrm.utils.wording import counted, one_or_many


@campaign_app.command(
    epilog="Example:  [bold]bayesrm campaign init runs/labels --pool data/quickstart/pool[/bold]"
)
@with_options(CampaignSettings)
def init(
    directory: Annotated[Path, typer.Argument(help="A new folder for the campaign.")],
    pool: Annotated[Path, typer.Option(help="Pool with the texts of responses, as bayesrm embed makes it.")],
    target_prompts: Annotated[
        Path | None,
        typer.Option(
            help="File with the prompt_id of the prompts that matter, one a line; default all of the pool."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Root of every random choice of the campaign.")
    ] = 0,
    without_labels: Annotated[
        bool,
        typer.Option(
            "--without-labels",
            help="Leave the labels that bayesrm embed found in the source of the pool; they count otherwise.",
        ),
    ] = False,
    **settings: Any,
) -> None:
    """Begin a campaign about a pool. The pool stays where it is; the campaign keeps what is asked and answered.

    Labels that the pool came with count from the start, and their pairs are not asked again.

    Its settings hold for every fit of the campaign. How pairs are chosen is said with each batch.
    """
    from bayesrm.campaign import Campaign

    from_options(CampaignSettings, settings)
    campaign = Campaign.create(directory, pool, target_prompts, seed, not without_labels, **settings)
    about = "" if campaign.targets is None else f", aimed at {campaign.targets.n_prompts} of them"
    labels = len(campaign.preferences())
    if labels:
        count = one_or_many(labels, "counts", "count")
        say(f"{counted(labels, 'label')} came with the pool and {count} from the start.")
    say(
        f"{directory} is a campaign about {counted(len(campaign.pool), 'response')} to "
        f"{counted(campaign.pool.n_prompts, 'prompt')}"
        f"{about}. Next: bayesrm campaign ask {directory} --size 200 --to csv"
    )
