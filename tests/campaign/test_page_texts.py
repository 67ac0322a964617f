"""Hostile and odd texts do no harm on the page, and ordinary Markdown is readable."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest

from bayesrm.campaign.page.texts import RENDERED, harmless, shown

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "<javascript:alert(1)>",
    "![x](https://elsewhere.example/pixel.png)",
    "![x](javascript:alert(1))",
    "<style>body{display:none}</style>",
    "<p style='position:fixed' class='primary' id='undo'>x</p>",
    "<iframe src='https://elsewhere.example'></iframe>",
    "<form action='/api/answer'><button>x</button></form>",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    '``` " onload=alert(1) x="\ncode\n```',
    "| a |\n|---|\n| <script>alert(1)</script> |",
    "<!-- --><script>alert(1)</script>",
    "<math><mtext></p><style><img src=x onerror=alert(1)></style>",
    "\\<script>alert(1)\\</script>",
]
ALLOWED = {"a": {"href", "title", "target", "rel"}, "ol": {"start"}}


class Elements(HTMLParser):
    """Tags and attributes as a browser would read them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_of_a_text_can_run_or_load_or_look_like_the_page(text):
    html = shown(text).html
    for tag, attributes in Elements(html).found:
        assert tag not in ("script", "img", "svg", "style", "iframe", "form", "button", "math", "input", "object")
        assert set(attributes) <= ALLOWED.get(tag, set()) | {"dir"}, (tag, attributes)
        assert re.match(r"https?://|mailto:", attributes.get("href", "https://")), attributes
        if tag == "a":
            assert attributes["rel"] == "noopener noreferrer nofollow"


def test_markdown_is_rendered_and_raw_html_is_shown_as_it_is():
    html = shown(
        "# Title\n\nSome **bold** and `code`.\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<b>x</b>"
    ).html
    tags = [tag for tag, _ in Elements(html).found]
    assert [tag for tag in ("h3", "strong", "code", "ol", "table") if tag not in tags] == []
    assert "h1" not in tags, "headings of a text lie below those of the page"
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert "https://example.org" in shown("<https://example.org>").html


def test_characters_that_reorder_or_hide_others_are_taken_out():
    assert harmless("a\u202egnp.exe") == "a\N{REPLACEMENT CHARACTER}gnp.exe"
    assert harmless("\u202aa\u202c \u2066b\u2069\x00\x1b[31m\x07\U000e0041") == "a b[31m"
    assert harmless("one\r\ntwo\rthree\tfour") == "one\ntwo\nthree\tfour"
    kept = "שלום عليكم 👩‍👩‍👧 नमस्ते naïve"
    assert harmless(kept) == kept
    html = shown("שלום\n\nhello").html
    assert html.count('dir="auto"') == 2


@pytest.mark.parametrize(
    "piece", ["word ", "[", "*a ", "![[", "> ", "- a\n", "|a", "a\n", "[a](<", "`", "<", "&amp;", "\u202e", "\x00"]
)
def test_a_megabyte_is_cut_and_does_not_hang(piece):
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    view = shown(text)
    assert time.process_time() - start < 5
    assert view.cut
    assert view.characters == len(text)
    assert len(re.sub("<[^>]+>|&[a-z#0-9]+;", "", view.html).strip()) <= RENDERED
    assert not shown("short").cut
