"""What to ask next, found while people read: the exact update and the best pair after each answer that may come.

A session that was prepared is taken only where the answer is the one that it was prepared for and nothing else
happened since: then its pair is the best of all. Otherwise the update is as exact, and the pair is the best of those
that were good when the best was last looked for, so that nobody waits for longer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from bayesrm.design.live import Live
from bayesrm.errors import InvalidInputError
from bayesrm.types import Preferences

Key = tuple[str, str, str]
"""A question, an annotator and what is said."""
SETTLING = 0.02
"""Seconds until whoever answered has the next question, as a rule: what is prepared earlier is soon out of date."""
logger = logging.getLogger(__name__)


class Ahead:
    """A thread that prepares.

    Parameters
    ----------
    look
        Says from which session to go on, and which answers may come, the likeliest first.
    found
        Is told of a session that has looked for the best of all.
    """

    def __init__(
        self, look: Callable[[], tuple[Live, Mapping[Key, Preferences]]], found: Callable[[Live], None]
    ) -> None:
        self._look, self._found = look, found
        self._changed, self._ended = threading.Event(), threading.Event()
        self._prepared: tuple[Live | None, dict[Key, Live]] = (None, {})
        self._thread = threading.Thread(target=self._prepare, name="ahead", daemon=True)

    def begin(self) -> None:
        """Begin to prepare."""
        self._thread.start()
        self._changed.set()

    def changed(self) -> None:
        """Start again: there is a new question, answer or fit."""
        self._changed.set()

    def end(self) -> None:
        """Stop, and wait until the thread has ended."""
        self._ended.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def after(self, live: Live, key: Key) -> Live | None:
        """The session after an answer, with its next pair found; None where it is not prepared."""
        start, prepared = self._prepared
        return prepared.get(key) if start is live else None

    def _prepare(self) -> None:
        while True:
            self._changed.wait()
            self._ended.wait(SETTLING)
            self._changed.clear()
            if self._ended.is_set():  # looked at after clearing, which may have cleared what ended it
                return
            live, answers = self._look()
            prepared: dict[Key, Live] = {}
            self._prepared = live, prepared
            try:
                if len(live) and not self._changed.is_set():
                    live.prepare()  # other answers than those that are prepared for start from it, too
                    self._found(live)
                for key, label in answers.items():
                    later = self._after(live, label)
                    if later is None:
                        break
                    prepared[key] = later
            except InvalidInputError as error:
                logger.debug("nothing is prepared: %s", error)
            except Exception:  # answers go on without it, only more slowly
                logger.exception("preparing the next questions failed; it begins again after the next answer")

    def _after(self, live: Live, label: Preferences) -> Live | None:
        """The session after an answer, with its next pair found; None where something else came meanwhile."""
        if self._changed.is_set():
            return None
        later = live.copy()
        later.tell(label)
        # Whoever waits for what came has the processor: the longer part is not begun.
        if self._changed.is_set():
            return None
        if len(later):
            later.next()
        return later
