"""Names and options in a sentence stay whole, unless one of their words is longer than a line on a phone."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 30
"""Characters of a word that fit into the indented lines of a phone."""


def mark_long_words(app: Sphinx, page: nodes.document, name: str) -> None:
    """Give code that has to be broken within a word a class of its own, which the style sheet knows."""
    for code in page.findall(nodes.literal):
        if any(len(word) > LONGEST for word in code.astext().split()):
            code["classes"].append("long-word")


def setup(app: Sphinx) -> dict[str, Any]:
    """Look at pages when their references are resolved."""
    app.connect("doctree-resolved", mark_long_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
