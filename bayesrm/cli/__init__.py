"""The command line, one file a group of commands. Each does what a few lines of Python would; see its ``--help``."""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib import import_module
from typing import NoReturn

import typer

from bayesrm.cli.app import app, complain, how_to_go_on
from bayesrm.errors import BayesRMError

GROUPS = (
    "embed",
    "golden",
    "campaign",
    "fit",
    "runs",
    "replay",
    "study",
    "explain",
    "diagnose",
    "compare",
    "export",
    "lists",
)
"""The modules of this package that define commands, in the order in which ``--help`` lists them."""

STOPPED = 130
"""Exit status of a command that was stopped by Ctrl-C."""
LONGEST_PATH = 200
"""Characters of a path in a sentence."""

for _group in GROUPS:
    import_module(f"bayesrm.cli.{_group}")


def main() -> NoReturn:
    """Entry point: exit status 0 where it did what was asked, 2 with one sentence for bad input."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a character gets its number.
            stream.reconfigure(errors="backslashreplace")
    try:
        # Typer makes of Ctrl-C an exit status that it returns, and older versions of it an error of its own.
        if app(standalone_mode=False) == STOPPED:
            _say_stopped()
    except BayesRMError as error:
        _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        _say_stopped()
    except BrokenPipeError:
        # Whoever read the output has closed it, such as head; nobody is left to be told, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _refuse(_of_the_system(error))
    except Exception as error:
        # Usage errors of the parser; its classes live in different places in different versions of typer.
        if not hasattr(error, "format_message"):
            raise
        _refuse(error.format_message())
    sys.exit(0)


def _of_the_system(error: OSError) -> str:
    """The operating system's refusal in a sentence, with the file that it is about."""
    reason = error.strerror or str(error) or type(error).__name__
    where = "" if error.filename is None else f" {_short(str(error.filename))}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" for{where}" if where else ""
        return (
            f"no room is left on the disk{place}: make some, and give the command again; what was finished is kept"
        )
    return f"the system does not let this command use a file{where}: {reason}"


def _short(path: str) -> str:
    return path if len(path) <= LONGEST_PATH else f"{path[: LONGEST_PATH // 2]}…{path[-LONGEST_PATH // 2 :]}"


def _say_stopped() -> NoReturn:
    complain(how_to_go_on())
    sys.exit(STOPPED)


def _refuse(message: str) -> NoReturn:
    """One sentence on stderr, and status 2."""
    complain(message)
    sys.exit(2)
