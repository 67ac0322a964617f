"""``bayesrm campaign label``."""

from __future__ import annotations

import webbrowser
from contextlib import closing
from typing import Annotated, Any

import typer

from bayesrm.cli.app import console, say
from bayesrm.cli.campaign.group import Folder, Moved, campaign_app
from bayesrm.cli.options import Device, from_options, with_options
from bayesrm.errors import InvalidInputError
from bayesrm.runs.settings import AskSettings
from bayesrm.utils.wording import counted


@campaign_app.command(
    epilog="Example:  [bold]bayesrm campaign label runs/labels --annotator anna --annotator bert[/bold]"
)
@with_options(AskSettings, leave_out=("list_size", "second_answers", "choose_annotators", "prices"))
def label(
    directory: Folder,
    annotator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Who answers; repeat it for several. Default whoever was asked by name, else one."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Default the one of last time, else any free one.")
    ] = 0,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    expose: Annotated[
        bool, typer.Option("--expose", help="Allow a --host that other machines reach.", show_default=False)
    ] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make new links; the old ones open nothing then.", show_default=False)
    ] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the first link in the browser.", show_default=False)
    ] = False,
    minutes: Annotated[
        float, typer.Option(min=0.1, metavar="X", help="How long a question is kept for whoever has it on screen.")
    ] = 10,
    terminal: Annotated[
        bool,
        typer.Option("--terminal", help="Answer here in the terminal, without a page.", show_default=False),
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="When what was asked is answered, choose one pair after another, each after an exact update; the "
            "options of [bold]campaign ask[/bold] say which.",
            show_default=False,
        ),
    ] = False,
    pool: Moved = None,
    device: Device = None,
    **settings: Any,
) -> None:
    """Answer questions on a page that this machine serves, or in the terminal, alone or with others. Ctrl-C ends it.

    Each annotator has a link with a secret, and the owner one to look only. An answer is on disk before the page says
    so. Nothing is loaded from elsewhere, and only this machine reaches the page.
    """
    from datetime import timedelta

    import torch

    from bayesrm.campaign import Campaign
    from bayesrm.campaign.asking import Request
    from bayesrm.campaign.page.app import make_app
    from bayesrm.campaign.page.desk import Desk
    from bayesrm.campaign.page.links import OWNER, Links
    from bayesrm.campaign.page.live import LiveChooser
    from bayesrm.campaign.page.serve import address_of, is_loopback, listen, own_names, serve
    from bayesrm.campaign.page.texts import harmless
    from bayesrm.cli.campaign.terminal import answer_in_terminal

    if not is_loopback(host) and not expose:
        raise InvalidInputError(
            f"expected an address of this machine alone, got --host {host}, which others reach: add --expose if "
            "everybody on that network may see the page's door, and read what travels to it, which is not encrypted"
        )
    request = from_options(Request, settings)
    campaign = Campaign.open(directory, pool, device)
    campaign.require_texts()
    questions = campaign.store.questions()
    if not questions and not live:
        raise InvalidInputError(
            f"nothing was asked yet: bayesrm campaign ask {directory} --size 200, and then this; or add --live"
        )
    named = sorted({name for question in questions for name in question.annotators})
    people = annotator or named or [OWNER]
    if terminal and len(people) > 1:
        raise InvalidInputError(
            f"expected one annotator in a terminal, and there are {', '.join(people)}: say --annotator NAME"
        )
    chooser = None
    if live:
        torch.set_num_threads(1)
        say("Fitting what was answered so far …")
        chooser = LiveChooser(campaign, request)
    reserved = timedelta(minutes=minutes)
    if terminal:
        with closing(Desk(campaign, "terminal", chooser, reserved)) as desk:
            answer_in_terminal(desk, people[0])
        return
    links = Links.of(directory, people, renew)
    listening = listen(host, port, links.port)
    links.port = listening.getsockname()[1]
    links.write(directory)
    desk = Desk(campaign, chooser=chooser, reserved=reserved)
    base = address_of(listening, host)
    for name, secret in links.annotators.items():
        say(f"{harmless(name)}: {base}/#{secret}")
    say(f"To look only: {base}/owner#{links.owner}")
    if not is_loopback(host):
        say(
            f"Exposed: whoever reaches {host} sees that this page is there, and whoever has a link, or reads along on "
            "the network, sees its prompts and answers and can answer. Nothing is encrypted."
        )
    say("Ctrl-C ends it; answers are in the campaign as they are given.")
    # Whoever reads this through a pipe is to have it before the page ends.
    console.file.flush()
    if open_:
        webbrowser.open(f"{base}/#{next(iter(links.annotators.values()))}")
    before = len(campaign.store.answers())
    with closing(desk):
        serve(make_app(desk, links, own_names(host), any_address=not is_loopback(host)), listening)
        given = len(campaign.store.answers()) - before
    say(f"Ended. {counted(given, 'answer')} came in; next: bayesrm campaign status {directory}")
