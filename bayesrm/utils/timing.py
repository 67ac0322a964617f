"""How long the stages of a run take, for whoever asks; nothing that is computed depends on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SECONDS: ContextVar[dict[str, float] | None] = ContextVar("seconds", default=None)


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds by stage, of every :func:`stage` inside."""
    seconds: dict[str, float] = {}
    token = _SECONDS.set(seconds)
    try:
        yield seconds
    finally:
        _SECONDS.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count what happens inside to a stage, if a stopwatch runs."""
    seconds = _SECONDS.get()
    start = time.perf_counter()
    try:
        yield
    finally:
        if seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
