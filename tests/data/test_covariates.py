"""Covariates of texts: every one counted by hand, and any string has them."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from bayesrm.data import covariates
from bayesrm.data.covariates import LENGTHS, MOST_LOG, SURFACE, surface_covariates
from bayesrm.errors import InvalidInputError

PROMPT = "Name three colours, and three colours only."
RESPONSE = """  Three colours:

- red
 2) green
* blue
(c) none
-not an item
2001. was a year

```python
print("?")
```
Is this it? Is it?
~~~
open """


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log_characters", math.log1p(len(RESPONSE.strip()))),
        # Three colours red 2 green blue c none not an item 2001 was a year python print Is this it Is it open
        ("log_words", math.log1p(23)),
        ("lines", math.log1p(13)),
        ("list_items", math.log1p(4)),
        ("code_blocks", math.log1p(2)),
        # name three colours and only: three and colours are there
        ("prompt_overlap", 2 / 5),
        # a, is, it and it of an earlier word: "is" twice, "it" twice
        ("repetition", 2 / 23),
        ("questions", math.log1p(3)),
    ],
)
def test_counted_by_hand(name: str, expected: float) -> None:
    assert surface_covariates([PROMPT], [RESPONSE], [name])[name].tolist() == [pytest.approx(expected, rel=1e-12)]


def test_mean_length_of_a_word() -> None:
    made = surface_covariates(["p"] * 3, ["ab abcd", "x" * 50, "…"], ["word_length"])["word_length"]
    assert made.tolist() == [3.0, 20.0, 0.0]


@pytest.mark.parametrize(
    "response",
    [
        "",
        " ",
        "\n\n",
        "\0",
        "a" * 10_000,
        "```" * 100,
        "- " * 1000,
        "🙂🙂",
        "１２",
        "\r\n\u2028x",
        "?" * 50,
        "'\"\\",
    ],
)
@pytest.mark.parametrize("prompt", ["", "?", "What?", [{"role": "user", "content": "What?"}]])
def test_any_text_has_finite_covariates(prompt: object, response: str) -> None:
    for name, (value,) in surface_covariates([prompt], [response]).items():
        assert np.isfinite(value), name
        assert 0 <= value <= max(MOST_LOG, 20), name


def test_a_huge_text_is_clipped_and_takes_no_time() -> None:
    text = "- a?\n" * 2_000_000
    start = time.thread_time()  # the processor's: other processes do not count
    made = surface_covariates(["a b"], [text])
    assert time.thread_time() - start < 30
    assert made["log_characters"].tolist() == [min(math.log1p(len(text.strip())), MOST_LOG)]
    assert covariates._log(10**9) == MOST_LOG
    assert made["prompt_overlap"].tolist() == [0.5]


def test_longer_is_more() -> None:
    texts = ["one", "one two", "one two\nthree", "one two\nthree four five six"]
    for name in LENGTHS[:2]:
        assert (np.diff(surface_covariates(["p"] * 4, texts)[name]) > 0).all()


def test_all_turns_of_a_dialogue_are_its_prompt() -> None:
    dialogue = [{"role": "user", "content": "red"}, {"role": "assistant", "content": "green"}]
    assert surface_covariates([dialogue], ["green"], ["prompt_overlap"])["prompt_overlap"].tolist() == [0.5]


def test_every_covariate_says_what_it_is() -> None:
    assert all(function.__doc__ and function.__doc__.endswith(".") for function in SURFACE.values())
    assert list(surface_covariates([], [])) == list(SURFACE)


def test_refused() -> None:
    with pytest.raises(InvalidInputError, match="unknown covariate 'tone' of texts: there are log_characters"):
        surface_covariates(["p"], ["r"], ["tone"])
    with pytest.raises(InvalidInputError, match="each of the 2 responses, got 1"):
        surface_covariates(["p"], ["r", "s"])
