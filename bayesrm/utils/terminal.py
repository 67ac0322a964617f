"""Text that a terminal shows as it is, whatever file it comes from.

An escape sequence in a name or in a response can clear the screen, rewrite what was printed before or set the title of
the window, and marks of writing direction can show the words of a sentence in another order than they have.
"""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"
"""Of letters in Persian and Indian scripts, and of parts of an emoji: they change no order."""


def printable(text: str) -> str:
    r"""A text with an escape in place of every character that steers a terminal; line ends and tabs stay.

    Parameters
    ----------
    text
        Of whatever origin.

    Examples
    --------
    >>> print(printable("a\x1b[2Jb\u202ec"))
    a\x1b[2Jb\u202ec
    """
    return "".join(map(_shown, text)) if not text.isprintable() else text


def _shown(character: str) -> str:
    if character in "\n\t" or character in _JOINERS:
        return character
    # Control characters, marks of direction and other formats, halves of characters, ends of lines and paragraphs.
    steers = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return character.encode("unicode_escape", "surrogatepass").decode("ascii") if steers else character
