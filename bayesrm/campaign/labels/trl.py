"""Preferences as TRL's trainers take them: a line of JSON each, prompt, chosen and rejected.

Prompts that are one question are texts, TRL's standard form; where the pool has dialogues every row is in its
conversational form, with lists of messages. https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bayesrm.campaign.labels.base import LabelFormat
from bayesrm.campaign.labels.rows import LabelRow
from bayesrm.utils.files import replacing

OPTIONAL = ("weight", "importance")
"""Columns that are left out where every row has a 1 there."""


class TRLPreferences(LabelFormat):
    """TRL's preferences in JSON Lines: a tie is written in both orders, each with weight ½."""

    name: ClassVar[str] = "trl"
    suffix: ClassVar[str] = "jsonl"
    # DPO and RewardTrainer know no ties; both orders pull to equal rewards.
    ties: ClassVar[str] = "half"
    next_step: ClassVar[str] = (
        'datasets.load_dataset("json", data_files="{file}") is what DPOTrainer and RewardTrainer train on.'
    )

    def write(self, rows: Sequence[LabelRow], path: Path) -> list[Path]:
        """The same keys in every line."""
        beside = [name for name in OPTIONAL if any(getattr(row, name) != 1 for row in rows)]
        if any(row.winner == "tie" for row in rows):
            beside.append("winner")
        if any(row.margin is not None for row in rows):
            beside.append("margin")
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                line = _texts(row) | {
                    "annotator": row.annotator or None,
                    "answered": row.answered,
                    "vote_share": row.vote_share,
                    "question": row.question,
                }
                line |= {name: getattr(row, name) for name in beside}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return [path]


def _texts(row: LabelRow) -> dict[str, Any]:
    if row.messages is None:
        return {"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected}
    return {
        "prompt": list(row.messages),
        "chosen": [{"role": "assistant", "content": row.chosen}],
        "rejected": [{"role": "assistant", "content": row.rejected}],
    }
