"""``bayesrm campaign status``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesrm.cli.app import View, say, show
from bayesrm.cli.campaign.group import Folder, Moved, campaign_app
from bayesrm.cli.campaign.outlook import print_outlook
from bayesrm.cli.options import Device
from bayesrm.utils.wording import counted, one_or_many

if TYPE_CHECKING:
    from bayesrm.campaign.status import Status


@campaign_app.command(epilog="Example:  [bold]bayesrm campaign status runs/labels --aside[/bold]")
def status(
    directory: Folder,
    aside: Annotated[
        bool, typer.Option("--aside", help="List every row that was set aside, with its reason.")
    ] = False,
    refit: Annotated[
        bool, typer.Option("--fit/--no-fit", help="Whether to fit first where answers came since the last fit.")
    ] = True,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read all of the pool, and compare it with what it was at the beginning."),
    ] = False,
    pool: Moved = None,
    device: Device = None,
) -> None:
    """What was asked and answered, how far annotators agree, how good the ranking is, and whether to go on."""
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.rounds import fit_round
    from bayesrm.campaign.status import status as look

    campaign = Campaign.open(directory, pool, device, verify)
    now = look(campaign)
    if refit and not now.current and now.used and not campaign.store.read_only:
        fit_round(campaign)
        now = look(campaign)
    _print_status(directory, now)
    if verify:
        say("The pool is the one that the campaign was made for, to the last embedding and letter.")
    if campaign.store.read_only:
        say(
            "This campaign can only be read: its disk is full, or its folder cannot be written to. Nothing was fitted."
        )
    if aside:
        for name, place, reason in campaign.store.asides():
            say(f"{name}, {place}: {reason}")


def _print_status(directory: Path, now: Status) -> None:
    from bayesrm.campaign.advice import advice
    from bayesrm.campaign.handing_out import BATCHES

    view = View(f"Campaign {directory}")
    for header in ("batch", "asked", "design"):
        view.add_column(header)
    released = any(entry.released for entry in now.batches)
    pairs = "pairs or lists" if any(entry.members > 2 for entry in now.batches) else "pairs"
    for header in (pairs, "answers wanted", "answered", "still open", *(["released"] if released else [])):
        view.add_column(header, justify="right")
    for entry in now.batches:
        still_open = "closed" if entry.closed else str(entry.open)
        figures = (
            entry.questions if entry.members == 2 else f"{entry.questions} of {entry.members}",
            entry.wanted,
            entry.answered,
            still_open,
            *([entry.released] if released else []),
        )
        view.add_row(str(entry.number), entry.asked[:10], entry.design, *(str(figure) for figure in figures))
    show(view)
    lines = [
        f"Batch {entry.number} has no answer, and no file of it is in {directory / BATCHES}: bayesrm campaign ask "
        f"{directory} --batch {entry.number} writes them, and bayesrm campaign label {directory} shows it on a page."
        for entry in now.batches
        if entry.unseen
    ]
    if now.imported:
        lines.append(f"{counted(now.imported, 'label')} came with the pool.")
    if now.unasked:
        are = one_or_many(now.unasked, "is about a pair", "are about pairs")
        lines.append(f"{counted(now.unasked, 'label')} from data sets {are} that this campaign never asked about.")
    lines += [
        f"{counted(now.used, 'answer')} {one_or_many(now.used, 'is', 'are')} used, {now.ties} of them "
        f"{one_or_many(now.ties, 'a tie', 'ties')}; {counted(now.skips, 'skip')} and "
        f"{counted(now.superseded, 'answer')} that their annotator changed later are not. "
        f"{counted(now.files, 'file')} {one_or_many(now.files, 'was', 'were')} told.",
    ]
    rankings = f", {counted(now.rankings, 'ranking')} among them" if now.rankings else ""
    lines.append(f"For the answers that count{rankings}, {counted(now.texts, 'text')} of questions were read.")
    lines += now.decisions
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
        say(f"\n{advice(now)}", bold=True)
        return
    if not now.current:
        say("\nAnswers came since the last fit, which does not know them:")
    print_outlook(now.rounds[-1], now.rounds[:-1])
    say(f"\n{advice(now)}", bold=True)
