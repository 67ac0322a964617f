"""Progress bars for long work: shown on a terminal only, and only where the work takes a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn, track

T = TypeVar("T")
SECONDS_BETWEEN_LOOKS = 1.0


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
    with _with_time_left(console) as progress:
        task = progress.add_task(description, total=total, completed=int(done))
        yield lambda size: progress.advance(task, size)


@contextmanager
def following(description: str, total: int, done: Callable[[], int]) -> Iterator[None]:
    """A bar with the time left for work that other threads or processes do.

    Parameters
    ----------
    description
        Stands beside the bar.
    total
        How much there is to do.
    done
        How much is done by now; it is called about once a second, and not at all where no bar is shown.
    """
    console = Console(stderr=True)
    if not (console.is_terminal and total):
        yield
        return
    stop = Event()
    with _with_time_left(console) as progress:
        task = progress.add_task(description, total=total, completed=done())

        def look() -> None:
            while not stop.wait(SECONDS_BETWEEN_LOOKS):
                progress.update(task, completed=done())

        thread = Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _with_time_left(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)
