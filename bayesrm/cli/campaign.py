"""``bayesrm campaign``: ask people, take their answers, fit, look whether it is worth going on, and again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from bayesrm.cli.app import app, say, show
from bayesrm.cli.options import Device, from_options, with_options
from bayesrm.errors import InvalidInputError
from bayesrm.runs.settings import AskSettings, CampaignSettings
from bayesrm.utils.wording import counted, one_or_many

if TYPE_CHECKING:
    from bayesrm.campaign.findings import Findings
    from bayesrm.campaign.status import Status

campaign_app = typer.Typer(
    help="A labelling campaign: ask people which of two responses is better, take their answers, fit, and again.",
    rich_markup_mode="rich",
    no_args_is_help=True,
    epilog="Example:  [bold]bayesrm campaign init runs/labels --pool data/quickstart/pool && bayesrm campaign ask "
    "runs/labels --size 20 --to csv[/bold]",
)
app.add_typer(campaign_app, name="campaign")

FEWEST_FOR_FORECAST = 250
"""Replays of forecasts began with so many labels, see :mod:`bayesrm.evaluation.forecast`."""

Folder = Annotated[Path, typer.Argument(help="Folder of the campaign.")]
Moved = Annotated[Path | None, typer.Option(help="Where the pool is, if it was moved.")]


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
    **settings: Any,
) -> None:
    """Begin a campaign about a pool. The pool stays where it is; the campaign keeps what is asked and answered.

    Its settings hold for every fit of the campaign. How pairs are chosen is said with each batch.
    """
    from bayesrm.campaign import Campaign

    from_options(CampaignSettings, settings)
    campaign = Campaign.create(directory, pool, target_prompts, seed, **settings)
    about = "" if campaign.targets is None else f", aimed at {campaign.targets.n_prompts} of them"
    say(
        f"{directory} is a campaign about {counted(len(campaign.pool), 'response')} to "
        f"{counted(campaign.pool.n_prompts, 'prompt')}"
        f"{about}. Next: bayesrm campaign ask {directory} --size 200 --to csv"
    )


@campaign_app.command(epilog="Example:  [bold]bayesrm campaign ask runs/labels --size 20 --to label-studio[/bold]")
@with_options(AskSettings)
def ask(
    directory: Folder,
    to: Annotated[str, typer.Option(help="As which files, see [bold]bayesrm handoffs[/bold].")] = "csv",
    annotator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Who answers, NAME or NAME=QUOTA. Repeat it, and each gets a file of their own.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; default batches/ in the campaign.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(metavar="N", help="Choose nothing new: write the files of this batch once more."),
    ] = None,
    pool: Moved = None,
    device: Device = None,
    **settings: Any,
) -> None:
    """Choose the pairs to ask about next, and write them for annotators. No pair is ever asked twice.

    Which response stands left and which right is random and remembered. What to do with the files is said when they
    are written; then tell what comes back, all at once or in parts.
    """
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.asking import Request
    from bayesrm.campaign.handoff import HANDOFFS

    campaign = Campaign.open(directory, pool, device)
    campaign.require_texts()
    form = HANDOFFS[to]
    if batch is None:
        people = dict(_quota(words) for words in annotator or [])
        request = from_options(Request, settings | {"annotators": people})
        if request.overlap > 1 and not people and not form.identifies_annotators:
            raise InvalidInputError(
                f"an overlap needs annotators that can be told apart, which a {to} file does not do by itself: add "
                "--annotator NAME for each of them, or use a tool that has users"
            )
        questions = campaign.ask(request)
        batch = questions[0].batch
        few = "" if len(questions) == request.size else f" (no more are left, {request.size} were wanted)"
        say(f"Batch {batch} asks about {counted(len(questions), 'pair')}{few}.")
    files = campaign.hand_out(to, batch, out)
    say(f"Written: {', '.join(map(str, files))}.")
    say(form.next_step.format(directory=directory))


@campaign_app.command(
    epilog="Example:  [bold]bayesrm campaign tell runs/labels runs/labels/batches/batch-001.csv[/bold]"
)
def tell(
    directory: Folder,
    files: Annotated[
        list[Path], typer.Argument(help="Files that came back, in any of the formats, whole or in part.")
    ],
    form: Annotated[
        str | None,
        typer.Option("--from", help="Their format, see [bold]bayesrm handoffs[/bold]; default recognised."),
    ] = None,
    annotator: Annotated[str, typer.Option(help="Who answered, where a file does not say.")] = "",
    pool: Moved = None,
) -> None:
    """Take what annotators answered. A file goes in whole or, where this is killed, not at all: then tell it again.

    Partial files, late ones, repetitions, corrections (an annotator's later answer counts), ties and skips are all
    taken. Unknown ids and broken rows are listed, and the rest of the file goes in. A file told twice changes nothing.
    """
    from bayesrm.campaign import Campaign

    campaign = Campaign.open(directory, pool)
    for file in files:
        say(str(campaign.tell(file, form, annotator)))


@campaign_app.command(epilog="Example:  [bold]bayesrm campaign fit runs/labels[/bold]")
def fit(directory: Folder, pool: Moved = None, device: Device = None) -> None:
    """Fit the reward model to all answers, and keep what it finds; posterior.nc opens in ArviZ.

    Unless init was told a likelihood, it follows from the answers: reliabilities where several annotators answer, a
    probability of ties where there are some, else Bradley–Terry.
    """
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.rounds import fit_round

    findings = fit_round(Campaign.open(directory, pool, device))
    _print_outlook(findings)
    say(f"\nWritten: {directory / 'posterior.nc'}, {directory / 'card.json'}.")


@campaign_app.command(epilog="Example:  [bold]bayesrm campaign status runs/labels --aside[/bold]")
def status(
    directory: Folder,
    aside: Annotated[
        bool, typer.Option("--aside", help="List every row that was set aside, with its reason.")
    ] = False,
    refit: Annotated[
        bool, typer.Option("--fit/--no-fit", help="Whether to fit first where answers came since the last fit.")
    ] = True,
    pool: Moved = None,
    device: Device = None,
) -> None:
    """What was asked and answered, how far annotators agree, how good the ranking is, and whether to go on."""
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.rounds import fit_round
    from bayesrm.campaign.status import status as look

    campaign = Campaign.open(directory, pool, device)
    now = look(campaign)
    if refit and not now.current and now.used:
        fit_round(campaign)
        now = look(campaign)
    _print_status(directory, now)
    if aside:
        for name, place, reason in campaign.store.asides():
            say(f"{name}, {place}: {reason}")


def _quota(words: str) -> tuple[str, int | None]:
    name, has, number = words.rpartition("=")
    if not has:
        return words, None
    if not number.isdigit():
        raise InvalidInputError(f"expected an annotator as NAME or NAME=QUOTA with a whole number, got {words}")
    return name, int(number)


def _print_status(directory: Path, now: Status) -> None:
    view = Table(title=f"Campaign {directory}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for header in ("batch", "asked", "design"):
        view.add_column(header)
    for header in ("pairs", "answers wanted", "answered", "still open"):
        view.add_column(header, justify="right")
    for entry in now.batches:
        figures = (entry.questions, entry.wanted, entry.answered, entry.open)
        view.add_row(str(entry.number), entry.asked[:10], entry.design, *(str(figure) for figure in figures))
    show(view)
    lines = [
        f"{counted(now.used, 'answer')} {one_or_many(now.used, 'is', 'are')} used, {now.ties} of them "
        f"{one_or_many(now.ties, 'a tie', 'ties')}; {counted(now.skips, 'skip')} and "
        f"{counted(now.superseded, 'answer')} that their annotator changed later are not. "
        f"{counted(now.files, 'file')} {one_or_many(now.files, 'was', 'were')} told.",
    ]
    if now.aside:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in now.aside.items())
        lines.append(f"Set aside: {reasons}. With --aside each is listed.")
    if now.left_of:
        lines.append(
            f"The left response was preferred in {now.left_share:.0%} of {counted(now.left_of, 'decided answer')}."
        )
    named = {name or "unnamed": count for name, count in now.people.items()}
    if len(named) > 1:
        lines.append(f"Annotators: {', '.join(f'{name} ({count})' for name, count in named.items())}.")
        lines.append(f"{now.agreement} Annotators differ on {counted(now.conflicts, 'question')}.")
    for line in lines:
        say(line)
    if not now.rounds:
        say("Nothing was fitted yet: tell answers, then bayesrm campaign fit.")
        return
    if not now.current:
        say("\nAnswers came since the last fit, which does not know them:")
    _print_outlook(now.rounds[-1], now.rounds[:-1])


def _print_outlook(findings: Findings, before: tuple[Findings, ...] = ()) -> None:
    from bayesrm.evaluation.baselines import length_sentence

    outlook = findings.forecast
    view = Table(
        title=f"Quality, likelihood {findings.likelihood}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    view.add_column("labels", justify="right")
    view.add_column("1−Spearman ↓ (90%)", justify="right", no_wrap=True)
    view.add_column("regret ↓ (90%)", justify="right", no_wrap=True)
    by_design = any(later.random is not None for later in outlook.later)
    if by_design:
        view.add_column("random needs", justify="right")
    for earlier in before[-5:]:
        figures = earlier.forecast.now
        view.add_row(f"{earlier.labels}", str(figures.one_minus_spearman), str(figures.regret))
    now = outlook.now
    view.add_row(f"[bold]{findings.labels} now[/bold]", str(now.one_minus_spearman), str(now.regret))
    for later in outlook.later:
        row = [f"+{later.labels}", str(later.one_minus_spearman), str(later.regret)]
        if by_design and later.random is not None:
            row.append(f"> {5 * later.labels}" if later.random == float("inf") else f"{later.random:.0f}")
        view.add_row(*row)
    show(view)
    lines = [outlook.sentence()]
    if by_design:
        lines.append(
            f"Forecast for the design {outlook.design}; beside it what random pairs would need for the same."
        )
    else:
        lines.append(f"Forecast for pairs chosen at random, as the design {outlook.design} does.")
    lines.append(
        "Regret: by how much more often than half of the time an annotator would prefer the best response to a prompt "
        "to the one that is ranked first."
    )
    rests = (
        f"counted on {outlook.counted:.0f} pairs"
        if outlook.counted
        else "as published ones do; ask with --overlap 2"
    )
    lines.append(
        f"All of this takes it that two annotators answer alike {outlook.agreement.mean:.0%} of the time ({rests}), of "
        f"which follows that embeddings explain {outlook.explained.mean:.0%} of what they prefer."
    )
    if findings.labels < FEWEST_FOR_FORECAST:
        lines.append(
            f"With fewer than {FEWEST_FOR_FORECAST} answers, as here, these figures can be far off: in replays they "
            "held from there on."
        )
    if findings.held_out is not None:
        lines.append(str(findings.held_out))
    if findings.length is not None:
        lines.append(length_sentence(findings.length))
    if findings.reason:
        lines.append(f"Likelihood {findings.likelihood}: {findings.reason}.")
    for person in findings.annotators:
        if person.unreliable:
            lines.append(
                f"{person.name} answers next to at random: {person.right:.0%} of "
                f"{counted(person.answers, 'answer')} go as predicted, where "
                f"{person.expected:.0%} of a typical annotator's would; such answers count little."
            )
    for line in lines:
        say(line)
