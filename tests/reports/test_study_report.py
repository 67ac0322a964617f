"""The page of a study: everything that was asked for is on it, and nothing beside it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from bayesrm.reports.studies import MOST_ROWS, duration, heading, render

VOID = {"meta", "br", "link", "img"}


class _Balanced(HTMLParser):
    """Complains about tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page() -> str:
    table = pd.DataFrame({"design": ["dopt", "<b>"], "ratio_low": [0.51239, np.inf], "seeds": [5, np.nan]})
    return render(
        title="Efficiency",
        question="Which is best?",
        answer="D-opt is.\nBy 3 < 4.",
        description="First line.\n\nA second\nparagraph.",
        figures={"Learning curves": "<svg></svg>"},
        tables={"Standings": table, "Long": pd.DataFrame({"x": range(MOST_ROWS + 7)})},
        facts={"seeds": "0, 1"},
        settings={"batch_size": "50"},
        versions={"bayesrm": "0.1"},
        failures={"cell-one": "it diverged"},
        tiny=False,
    )


def test_everything_is_on_the_page(page):
    for piece in (
        "Which is best?", "D-opt is.\nBy 3 &lt; 4.", "<p>A second paragraph.</p>", "<svg></svg>", "&lt;b&gt;", "0.5124",
        "∞", "–", "ratio low", "cell-one: it diverged", "1 runs failed", "7 more rows", "batch_size", "bayesrm",
    ):  # fmt: skip
        assert piece in page
    assert "tiny run" not in page


def test_the_page_needs_nothing_beside_it(page):
    assert not re.search(r"(src|href)\s*=|@import|<script", page)
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []


def test_names_of_files_and_seconds_for_people():
    assert heading("labels_needed") == "Labels needed"
    assert (duration(3.21), duration(600.0), duration(7200.0)) == ("3.21 s", "10 min", "2.0 h")
