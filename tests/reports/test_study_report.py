"""The page of a study: everything that was asked for is on it, and nothing beside it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from bayesrm.reports.studies import MOST_ROWS, _cells, duration, heading, render, time_in_the_runs

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
        "∞", "–", "ratio low", "cell-one: it diverged", "1 run failed and is missing", "7 more rows",
        "batch_size", "bayesrm",
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


def test_what_every_row_says_is_said_once():
    table = pd.DataFrame({"design": ["dopt", "random"], "baseline": "random", "seeds": 5, "area": [0.5, 0.6]})
    found = _cells(table)
    assert found["common"] == "baseline random, seeds 5"
    assert found["columns"] == ["design", "area"]
    assert found["rows"] == [["dopt", "0.5"], ["random", "0.6"]]
    assert _cells(table[:1])["columns"] == ["design", "baseline", "seeds", "area"]


def test_time_in_the_runs_counts_nothing_twice():
    """The total is the whole of what stages are parts of; what no stage measured is said."""
    said = time_in_the_runs({"fit": 20.0, "total": 60.0, "select": 30.0})
    assert said == "60 s: select 30 s, fit 20 s, other 10 s"
    assert time_in_the_runs({"fit": 30.0, "select": 20.0}) == "50 s: fit 30 s, select 20 s"


def test_a_run_of_other_sizes_says_so_above_what_is_described():
    arguments = {name: {} for name in ("figures", "tables", "facts", "settings", "versions", "failures")}
    texts = {"title": "t", "question": "q", "answer": "a", "description": "Each round draws 1,000 points."}
    page = render(**texts, **arguments, tiny=True, differences="prompts 200 instead of 1000")
    assert page.index("This run had prompts 200 instead of 1000.") < page.index("Each round draws")
    assert "describes the full study" not in render(**texts, **arguments, tiny=False)
