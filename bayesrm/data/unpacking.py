"""How large a packed file may get: a few kilobytes of somebody else's can hold terabytes of zeros.

Up to ``ALWAYS`` bytes every file is unpacked; beyond that, as long as it is at most ``TIMES`` times as large as it is
packed. Texts shrink to a fifth or so, and embeddings hardly at all.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

from bayesrm.errors import InvalidInputError

ALWAYS = 2**28
TIMES = 200


def most_unpacked(path: Path) -> int:
    """Bytes that a packed file may have when it is unpacked."""
    return max(ALWAYS, TIMES * path.stat().st_size)


def too_large(path: Path) -> InvalidInputError:
    """The refusal of a file that has more in it."""
    return InvalidInputError(
        f"expected at most {most_unpacked(path) / 2**20:,.0f} MiB in {path}, {TIMES} times its size, got more: a file "
        "that grows so much is not unpacked; if you trust it, unpack it yourself and give what is in it"
    )


class Unpacked(io.RawIOBase):
    """What a ``.gz`` file has in it, up to the size that it may have.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, most_unpacked(path)
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - closed in close

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some; InvalidInputError where there is too much."""
        view = memoryview(buffer).cast("B")
        found = self._file.read(len(view))
        view[: len(found)] = found
        self._left -= len(found)
        if self._left < 0:
            raise too_large(self._path)
        return len(found)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()
