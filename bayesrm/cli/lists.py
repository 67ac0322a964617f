"""``bayesrm designs``, ``inferences``, … : what there is of each kind of part, one line each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayesrm.cli.app import View, app, show

if TYPE_CHECKING:
    from bayesrm.registry import Registry

KINDS = {
    "designs": ("design", "CRITERIA", "What can be asked for with --design"),
    "selectors": ("design", "SELECTORS", "How a batch can be chosen for a design, --selector"),
    "inferences": ("inference", "INFERENCES", "What can be asked for with --inference"),
    "likelihoods": ("models.likelihoods", "LIKELIHOODS", "What an annotator's answer can be modelled as"),
    "encoders": ("models.encoders", "ENCODERS", "What turns embeddings into features, --encoder"),
    "formats": ("data.formats", "FORMATS", "Forms of data sets that embed and score read, told by their columns"),
    "checks": ("diagnostics.checks", "CHECKS", "What bayesrm diagnose looks at"),
    "annotators": ("annotators", "ANNOTATORS", "Who answers in a simulated run, --annotator"),
    "handoffs": (
        "campaign.handoff",
        "HANDOFFS",
        "Files for annotators, --to and --from",
    ),
    "label-formats": ("campaign.labels", "LABEL_FORMATS", "Forms that bayesrm campaign labels writes, --to"),
}
"""Command → the package, its registry, and what the parts are."""
DEFAULTS = {
    "designs": "RECOMMENDED_DESIGN",
    "inferences": "RECOMMENDED_INFERENCE",
    "likelihoods": "RECOMMENDED_LIKELIHOOD",
}
"""Command → the name in its package of what is taken where nothing is asked for."""


def registry_of(command: str) -> Registry[Any]:
    """The registry that a command lists; its parts are imported when they are asked for."""
    package, name, _ = KINDS[command]
    found: Registry[Any] = getattr(import_module(f"bayesrm.{package}"), name)
    return found


def default_of(command: str) -> str | None:
    """The part that is taken where none is asked for, of kinds that have one."""
    package, _, _ = KINDS[command]
    name = DEFAULTS.get(command)
    return None if name is None else str(getattr(import_module(f"bayesrm.{package}"), name))


def _add(command: str, what: str) -> None:
    def listed() -> None:
        print_lines(registry_of(command).lines(), default_of(command))

    listed.__doc__ = f"{what}, one line each."
    app.command(command, epilog=f"Example:  [bold]bayesrm {command}[/bold]")(listed)


for _command, (_, _, _what) in KINDS.items():
    _add(_command, _what)


def print_lines(lines: dict[str, str], default: str | None = None) -> None:
    """Names and one line each; what is taken where nothing is asked for is marked."""
    view = View(header=False)
    view.add_column(no_wrap=True, style="bold")
    view.add_column()
    for name, line in lines.items():
        view.add_row(name, f"(default) {line}" if name == default else line)
    show(view)
