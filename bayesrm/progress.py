"""Progress bars for long work: shown on a terminal only, and only where the work takes a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def bar(steps: Iterable[T], description: str, total: int, show: bool = True) -> Iterator[T]:
    """Iterate with a bar on stderr, gone when done; silent where stderr is not a terminal."""
    console = Console(stderr=True)
    if not (show and console.is_terminal):
        yield from steps
        return
    yield from track(steps, description, total=total, console=console, transient=True)
