"""Texts of models and of strangers, made harmless: for a page as sanitised HTML, for a terminal as plain characters.

Markdown is rendered without raw HTML, which is shown as the characters that it is, and the result is sanitised once
more by a list of what is allowed. Characters that reorder or hide others are taken out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

RENDERED = 12_000
"""Characters of a text that are rendered at once; the rest is shown when somebody asks for it, as plain text."""
_OVERRIDES = re.compile("[\u202d\u202e\ud800-\udfff]")
_UNSEEN = re.compile(
    # Controls but tab and newline, embeddings and isolates of direction, and tags that no font shows.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202c\u2066-\u2069\U000e0000-\U000e007f]"
)
_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_OWN_DIRECTION = ("p", "li", "blockquote", "h3", "h4", "h5", "h6", "td", "th", "pre")


@dataclass(frozen=True)
class Shown:
    """A text as a page shows it.

    Parameters
    ----------
    html
        Sanitised.
    characters
        How long the whole text is.
    cut
        Whether ``html`` is only its beginning.
    """

    html: str
    characters: int
    cut: bool


def harmless(text: str) -> str:
    """A text without characters that reorder or hide others; an override, or half a character, becomes a mark."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub("", _OVERRIDES.sub("\N{REPLACEMENT CHARACTER}", text))


def shown(text: str) -> Shown:
    """The beginning of a text, or all of it, as sanitised HTML."""
    beginning = harmless(text[: 2 * RENDERED])
    cut = len(text) > 2 * RENDERED or len(beginning) > RENDERED
    if cut:
        at = beginning.rfind("\n", RENDERED // 2, RENDERED)
        beginning = beginning[: RENDERED if at < 0 else at]
    html = nh3.clean(
        _markdown().render(beginning),
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}, **{tag: {"dir": "auto"} for tag in _OWN_DIRECTION}},
    )
    return Shown(html, len(text), cut)


@cache
def _markdown() -> MarkdownIt:
    # An image would be loaded from elsewhere: its description stays as a link.
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    made.core.ruler.push("lower_headings", _lower_headings)
    return made


def _lower_headings(state: StateCore) -> None:
    """A text's own headings lie below those of the page."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
