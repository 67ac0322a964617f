"""``bayesrm campaign ask``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesrm.cli.app import say
from bayesrm.cli.campaign.group import Folder, Moved, campaign_app
from bayesrm.cli.options import Device, from_options, with_options
from bayesrm.errors import InvalidInputError
from bayesrm.runs.settings import AskSettings
from bayesrm.utils.wording import counted, one_or_many

if TYPE_CHECKING:
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.handoff.base import HandOff


@campaign_app.command(epilog="Example:  [bold]bayesrm campaign ask runs/labels --size 20 --to label-studio[/bold]")
@with_options(AskSettings, leave_out=("list_size",))
def ask(
    directory: Folder,
    to: Annotated[
        str,
        typer.Option(
            help="As which files, see [bold]bayesrm handoffs[/bold], which also says what to export from a tool: not "
            "every export tells drafts from answers."
        ),
    ] = "csv",
    list_: Annotated[
        int,
        typer.Option(
            "--list",
            "--list-size",
            min=2,
            max=8,
            metavar="N",
            help="Responses to one prompt that are ranked at once; --size is then how many such lists. 2: pairs.",
        ),
    ] = 2,
    annotator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Who answers, NAME or NAME=QUOTA. Repeat it, and each gets a file of their own.",
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=X",
            help="What an answer of theirs costs, default 1, with --choose-annotators. Repeat it for several.",
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

    Where responses to a prompt read the same, one stands for all, and no words are asked twice either; --identical asks
    them all.

    With --list 4 sets of four responses to a prompt are ranked, whole or in part; each has a pair that is new.

    With --choose-annotators each answer is asked of whoever teaches most by it for their price, as far as quotas go.
    It needs answers of at least two annotators, which say how reliable they are.

    Which response stands left and which right is random and remembered. What to do with the files is said when they
    are written; then tell what comes back, all at once or in parts.
    """
    from bayesrm.campaign import Campaign
    from bayesrm.campaign.asking import Request
    from bayesrm.campaign.handing_out import require_rankings
    from bayesrm.campaign.handoff import HANDOFFS
    from bayesrm.design.room import MEMBERS

    campaign = Campaign.open(directory, pool, device)
    campaign.require_texts()
    form = HANDOFFS[to]
    if batch is None:
        people = dict(_quota(words) for words in annotator or [])
        prices = dict(_price(words) for words in price or [])
        request = from_options(Request, settings | {"annotators": people, "prices": prices, "list_size": list_})
        if list_ > 2:
            require_rankings(to)
        if (request.overlap > 1 or request.second_answers) and not people and not form.identifies_annotators:
            raise InvalidInputError(
                f"an overlap needs the names of annotators, which a {to} file does not have: add "
                "--annotator NAME for each of them, or use a tool that has users"
            )
        questions = campaign.ask(request)
        batch = questions[0].batch
        few = (
            ""
            if sum(question.wanted for question in questions) >= request.size
            else f" (no more are left, {request.size} were wanted)"
        )
        about = counted(len(questions), "pair")
        if list_ > 2:
            about = f"{counted(len(questions), 'list')} of {list_} responses"
        say(f"Batch {batch} asks about {about}{few}.")
        for sentence in campaign.teaching(request, questions):
            say(sentence)
        found = campaign.room(list_ if list_ > 2 else MEMBERS)
        for sentence in [] if found is None else found.sentences():
            say(sentence)
    files = campaign.hand_out(to, batch, out)
    say(f"Written: {', '.join(map(str, files))}.")
    _warn_of_long_texts(campaign, form, batch)
    lists = any(question.is_list for question in campaign.store.questions() if question.batch == batch)
    graded = campaign.configuration.points is not None
    step = form.rank_step if lists else form.grade_step if graded else form.next_step
    say((step or form.next_step).format(directory=directory))


def _warn_of_long_texts(campaign: Campaign, form: type[HandOff], batch: int) -> None:
    """Say how many questions have a text that the tool cannot show whole."""
    limit = form.longest_text
    if limit is None:
        return
    sheets = [campaign.sheet(question) for question in campaign.store.questions() if question.batch == batch]
    count = sum(max(map(len, sheet.texts.values())) > limit for sheet in sheets)
    if count:
        say(
            f"{counted(count, 'question')} {one_or_many(count, 'has', 'have')} a text of more than {limit:,} "
            "characters, the most that a spreadsheet keeps in a cell: such texts are cut there. Ask them with another "
            "--to, or on the page of bayesrm campaign label."
        )


def _quota(words: str) -> tuple[str, int | None]:
    name, has, number = words.rpartition("=")
    if not has:
        return words, None
    if not number.isdigit():
        raise InvalidInputError(f"expected an annotator as NAME or NAME=QUOTA with a whole number, got {words}")
    return name, int(number)


def _price(words: str) -> tuple[str, float]:
    name, has, number = words.rpartition("=")
    try:
        if has:
            return name, float(number)
    except ValueError:
        pass
    raise InvalidInputError(f"expected the price of an annotator as NAME=X with a number above 0, got {words}")
