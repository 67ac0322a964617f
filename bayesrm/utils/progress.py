"""Progress bars for long work: shown on a terminal only, and only where the work takes a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn, track

T = TypeVar("T")


def bar(steps: Iterable[T], description: str, total: int, show: bool = True) -> Iterator[T]:
    """Iterate with a bar on stderr, gone when done; silent where stderr is not a terminal."""
    console = Console(stderr=True)
    if not (show and console.is_terminal):
        yield from steps
        return
    yield from track(steps, description, total=total, console=console, transient=True)


@contextmanager
def advancing(
    description: str, total: float, show: bool = True, done: float = 0.0
) -> Iterator[Callable[[float], None]]:
    """A bar with the time left for work in pieces of different size: call what it yields with each piece's size.

    ``done`` is what an earlier run did; it counts as done and not as speed.
    """
    console = Console(stderr=True)
    if not (show and console.is_terminal):
        yield lambda size: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=total, completed=int(done))
        yield lambda size: progress.advance(task, size)
