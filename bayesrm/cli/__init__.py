"""The command line, one file a group of commands. Each does what a few lines of Python would; see its ``--help``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import typer

from bayesrm.cli.app import app, how_to_go_on
from bayesrm.errors import BayesRMError

GROUPS = ("embed", "golden", "campaign", "runs", "replay", "study", "explain", "diagnose", "export", "lists")
"""The modules of this package that define commands, in the order in which ``--help`` lists them."""

STOPPED = 130
"""Exit status of a command that was stopped by Ctrl-C."""

for _group in GROUPS:
    import_module(f"bayesrm.cli.{_group}")


def main() -> NoReturn:
    """Entry point: exit status 0 where it did what was asked, 2 with one sentence for bad input."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        # Typer makes of Ctrl-C an exit status that it returns, and older versions of it an error of its own.
        if app(standalone_mode=False) == STOPPED:
            _say_stopped()
    except BayesRMError as error:
        _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        _say_stopped()
    except Exception as error:
        # Usage errors of the parser; its classes live in different places in different versions of typer.
        if not hasattr(error, "format_message"):
            raise
        _refuse(error.format_message())
    sys.exit(0)


def _say_stopped() -> NoReturn:
    print(f"bayesrm: {how_to_go_on()}", file=sys.stderr)
    sys.exit(STOPPED)


def _refuse(message: str) -> NoReturn:
    """One sentence on stderr, and status 2."""
    print(f"bayesrm: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
