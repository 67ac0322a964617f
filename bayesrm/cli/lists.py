"""``bayesrm designs``, ``inferences``, ``likelihoods``, ``encoders``: what there is, one line each."""

from __future__ import annotations

from rich.table import Table

from bayesrm.cli.app import app, console


@app.command(epilog="Example:  [bold]bayesrm designs[/bold]")
def designs() -> None:
    """What can be asked for with --design, one line each."""
    from bayesrm.design import CRITERIA

    print_lines(CRITERIA.lines())


@app.command(epilog="Example:  [bold]bayesrm inferences[/bold]")
def inferences() -> None:
    """What can be asked for with --inference, one line each."""
    from bayesrm.inference import INFERENCES

    print_lines(INFERENCES.lines())


@app.command(epilog="Example:  [bold]bayesrm likelihoods[/bold]")
def likelihoods() -> None:
    """What an annotator's answer can be modelled as, one line each."""
    from bayesrm.models.likelihoods import LIKELIHOODS

    print_lines(LIKELIHOODS.lines())


@app.command(epilog="Example:  [bold]bayesrm encoders[/bold]")
def encoders() -> None:
    """What can be asked for with --encoder, one line each."""
    from bayesrm.models.encoders import ENCODERS

    print_lines(ENCODERS.lines())


def print_lines(lines: dict[str, str]) -> None:
    """Names and one line each."""
    view = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, line in lines.items():
        view.add_row(f"[bold]{name}[/bold]", line)
    console.print(view)
