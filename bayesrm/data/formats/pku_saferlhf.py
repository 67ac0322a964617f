"""PKU-SafeRLHF: two responses, of which one is better (more helpful) and one safer.

The label is the better one. For the safer one the winner column is mapped by hand: ``--winner-column
safer_response_id --winner-values 0=first,1=second``. https://huggingface.co/datasets/PKU-Alignment/PKU-SafeRLHF
"""

from __future__ import annotations

from bayesrm.data.conversation import require_text
from bayesrm.data.formats.base import Answer, Format, Item, Label, Row, Table
from bayesrm.data.values import optional_name, whole_number

SIDES = ("response_0", "response_1")


class PKUSafeRLHF(Format):
    """PKU-SafeRLHF: response_0 and response_1 with better_response_id."""

    name = "pku-saferlhf"
    columns = "prompt, response_0, response_1, better_response_id; optional response_0_source, response_1_source"
    requires = frozenset({"prompt", *SIDES, "better_response_id"})
    optional = frozenset({"prompt_source", *(f"{side}_source" for side in SIDES)})
    example = (
        {
            "prompt": "How do I open a lock?",
            "response_0": "With a key.",
            "response_1": "With a hammer.",
            "prompt_source": "Safer-RLHF",
            "response_0_source": "Alpaca-7B",
            "response_1_source": "Alpaca2-7B",
            "is_response_0_safe": True,
            "is_response_1_safe": False,
            "better_response_id": 1,
            "safer_response_id": 0,
        },
    )

    def begin(self, table: Table) -> tuple[str, ...]:
        """Say which of two labels is read."""
        if "safer_response_id" not in table.columns:
            return ()
        return (
            "Labels are those of better_response_id; for the others say --winner-column safer_response_id "
            "--winner-values 0=first,1=second",
        )

    def read(self, row: Row) -> Item:
        """Two answers, the better preferred."""
        better = whole_number(row.get("better_response_id"), "better_response_id", (0, 1))
        answers = tuple(
            Answer(require_text(row.get(side), side), optional_name(row.get(f"{side}_source"))) for side in SIDES
        )
        source = optional_name(row.get("prompt_source"))
        return Item(row["prompt"], answers, (Label(0, 1, float(better == 0)),), source=source)
