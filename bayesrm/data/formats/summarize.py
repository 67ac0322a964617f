"""Learning to summarize from human feedback: two summaries of a post or an article, and which a worker chose.

The prompt is written as its authors gave it to their models: subreddit, title, post, then TL;DR.
https://huggingface.co/datasets/openai/summarize_from_feedback, its configuration comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayesrm.data.conversation import Conversation, as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row
from bayesrm.data.values import has_no_text, optional_name, whole_number
from bayesrm.errors import InvalidInputError


class SummarizeFromFeedback(Format):
    """summarize_from_feedback: two summaries of a post or an article, and the choice of one."""

    name = "summarize-from-feedback"
    columns = "info (with post or article), summaries (two, with text and policy), choice (0 or 1)"
    requires = frozenset({"info", "summaries", "choice"})
    dialogues = frozenset()
    containers = frozenset({"info", "summaries"})
    example = (
        {
            "info": {
                "id": "t3",
                "post": "My cat ate my tie.",
                "title": "Cat",
                "subreddit": "pets",
                "site": None,
                "article": None,
            },
            "summaries": [
                {"text": "A cat ate a tie.", "policy": "sup2", "note": "fine"},
                {"text": "Cats eat.", "policy": "ref", "note": None},
            ],
            "choice": 0,
            "worker": "w1",
            "batch": "b",
            "split": "train",
            "extra": {"confidence": 7},
        },
    )

    def read(self, row: Row) -> Item:
        """Two answers, the chosen preferred."""
        summaries = row.get("summaries")
        if (
            not isinstance(summaries, (list, tuple))
            or len(summaries) != 2
            or not all(isinstance(one, Mapping) for one in summaries)
        ):
            raise InvalidInputError("expected two summaries with text")
        choice = whole_number(row.get("choice"), "choice", (0, 1))
        answers = tuple(
            Answer(require_text(one.get("text"), "text"), optional_name(one.get("policy"))) for one in summaries
        )
        info = row.get("info")
        if not isinstance(info, Mapping):
            raise InvalidInputError("expected info with a post or an article")
        source = optional_name(info.get("subreddit")) or optional_name(info.get("site"))
        return Item(_prompt(info), answers, (Label(0, 1, float(choice == 0)),), source=source)


def _prompt(info: Mapping[str, Any]) -> Conversation:
    text = info.get("post")
    name = "POST"
    if has_no_text(text):
        text, name = info.get("article"), "ARTICLE"
    lines = [f"{name}: {require_text(text, name.lower())}", "TL;DR:"]
    if not has_no_text(info.get("title")):
        lines.insert(0, f"TITLE: {info['title']}")
    if not has_no_text(info.get("subreddit")):
        lines.insert(0, f"SUBREDDIT: r/{info['subreddit']}")
    return as_conversation("\n\n".join(lines))
