"""Nothing that comes from a file steers the terminal that it is printed on."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from bayesrm.utils.terminal import printable

DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J\x1b[H",
        "\x1b]0;a title of the window\x07",
        "\x9b31m",
        "paid\r not paid",
        "back\b\b\b\bspace",
        "\u202egnp.exe",
        "\u2066left\u2069",
        "\u200f\u200e\u061c",
        "\ud800 half of a character",
        "\u2028 another line \u2029 another paragraph",
        "\ufeff",
        "\U000e0041 tags",
    ],
    ids=ascii,
)
def test_what_steers_a_terminal_is_shown_as_its_number(text):
    shown = printable(text)
    assert shown != text
    assert "\\" in shown
    assert shown.encode("utf-8").decode("unicode_escape") == text


def test_no_character_that_sets_a_direction_or_controls_is_left():
    every = map(chr, range(sys.maxunicode + 1))
    steering = [
        c
        for c in every
        if c not in "\n\t"
        and (unicodedata.bidirectional(c) in DIRECTIONS or unicodedata.category(c) in ("Cc", "Cs"))
    ]
    assert len(steering) > 2000
    assert printable("".join(steering)).isascii()


@pytest.mark.parametrize(
    "text", ["plain", "two\nlines\tand a tab", "é ü − ↓ 漢字", "שלום", "👩‍👩‍👧", "می‌خواهم", "back\\slash"]
)
def test_words_of_any_script_stay_as_they_are(text):
    assert printable(text) == text
