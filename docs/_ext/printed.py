"""What cells print: sentences are broken between words where the page ends, rows of tables stay whole and scroll."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

PRINTED = {"stream", "text_plain"}
UNBROKEN = re.compile(r"(\S*[-–]\S+)")
"""Words that browsers break at their dashes: options, names, intervals."""


def is_row(line: str) -> bool:
    """Whether a line has columns (blanks between words, or before them) or is a rule."""
    return bool(re.search(r"\S {2,}\S|^ {2,}\S|[─━]{3}", line))


def runs(lines: list[str]) -> list[tuple[bool, str]]:
    """Runs of rows and of sentences; empty lines belong to what they follow."""
    kinds: list[bool] = []
    for line in lines:
        kinds.append(is_row(line) if line or not kinds else kinds[-1])
    grouped = groupby(zip(kinds, lines, strict=True), key=lambda pair: pair[0])
    texts = [(row, "\n".join(line for _, line in run).strip("\n")) for row, run in grouped]
    return [(row, text) for row, text in texts if text]


def block_of(printed: nodes.literal_block, row: bool, text: str) -> nodes.literal_block:
    """A run as a block of its own, marked for the style sheet."""
    block = nodes.literal_block(text if row else "", text if row else "", **printed.attributes)
    block["classes"] = [*printed["classes"], "rows" if row else "sentences"]
    if not row:
        for at, part in enumerate(UNBROKEN.split(text)):
            whole = at % 2 and len(part) <= 30
            block += nodes.inline("", part, classes=["whole-word"]) if whole else nodes.Text(part)
    return block


def split(app: Sphinx, page: nodes.document) -> None:
    """Make one block of each run."""
    for printed in list(page.findall(nodes.literal_block)):
        if PRINTED & set(printed["classes"]):
            lines = [line.rstrip() for line in printed.astext().split("\n")]
            printed.replace_self([block_of(printed, *run) for run in runs(lines)])


def setup(app: Sphinx) -> dict[str, Any]:
    """Split when a page was read."""
    app.connect("doctree-read", split)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
