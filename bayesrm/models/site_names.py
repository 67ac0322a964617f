"""What sample sites may be called, so that their draws can be kept.

Draws become variables of a tree that is written as netCDF, beside β and under the names of its dimensions. A name that
such a file cannot hold is refused when the model is made, not when minutes of fitting are over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bayesrm.errors import InvalidInputError

TAKEN = frozenset({"beta", "intercept", "chain", "draw", "feature", "prompt", "annotator", "comparison"})
"""Variables and dimensions of the tree of a posterior."""
_DIMENSION = re.compile(r".*_dim_\d+", re.DOTALL)


def require_names(names: Iterable[str], of: str, taken: Iterable[str] = ()) -> None:
    """Refuse names of sites that the file of a posterior cannot hold.

    Parameters
    ----------
    names
        Of the sites.
    of
        What has them, for messages.
    taken
        Names that are in use there beside those of the tree.

    Raises
    ------
    InvalidInputError
        Where one is taken, or is no name in netCDF.
    """
    for name in names:
        reason = _reason(name, TAKEN | set(taken))
        if reason is not None:
            raise InvalidInputError(
                f"expected sites of {of} with names under which their draws can be kept, got {name!r:.80}, which "
                f"{reason}: give the site another name, such as {_instead(name)!r}"
            )


def _reason(name: str, taken: Iterable[str]) -> str | None:
    """Why a name cannot be used; None where it can."""
    if name in taken or _DIMENSION.fullmatch(name):
        return "the tree of a posterior uses itself"
    if not name or name in (".", ".."):
        return "is no name"
    if "/" in name:
        return "has a slash, which separates the groups of a netCDF file"
    if name != name.rstrip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "ends in a blank or has a control character, which names in netCDF may not"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has half a character, which is no UTF-8"
    return None


def _instead(name: str) -> str:
    """A name like it that can be used."""
    plain = re.sub(r"\W+", "_", name.encode(errors="ignore").decode())[:40].strip("_")
    usable = bool(plain) and plain != name and _reason(plain, TAKEN) is None
    return plain if usable else f"site_{plain}".strip("_")
