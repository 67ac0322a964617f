"""Writing the labels of a campaign, and the data card that goes with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesrm.campaign.labels import LABEL_FORMATS
from bayesrm.campaign.labels.base import COLUMNS
from bayesrm.campaign.labels.rows import Labels, label_rows
from bayesrm.campaign.records import now
from bayesrm.utils.files import replacing
from bayesrm.utils.versions import versions
from bayesrm.utils.wording import counted, one_or_many

if TYPE_CHECKING:
    from bayesrm.campaign.campaign import Campaign

RULES = {
    "keep": "A tie is a row whose winner is tie.",
    "half": "A tie is two rows, one in each order, each with half the weight.",
    "drop": "Ties are left out.",
    "all": "Every answer that counts is a row, also where annotators differ.",
    "majority": "A row is what most votes on its question say, by weight; a draw is a tie.",
}
"""What each rule does with ties and with conflicts."""


def export_labels(
    campaign: Campaign,
    to: str,
    out: str | os.PathLike[str] | None = None,
    ties: str | None = None,
    conflicts: str = "all",
) -> tuple[list[Path], Labels]:
    """Write the labels and a card beside them; see :meth:`bayesrm.Campaign.export_labels`."""
    part = LABEL_FORMATS[to]()
    labels = label_rows(campaign, part.ties if ties is None else ties, conflicts, part.weighted)
    path = campaign.directory / f"labels.{part.suffix}" if out is None else Path(out)
    written = part.write(labels.rows, path)
    card = path.with_name(f"{path.name}.card.md")
    with replacing(card) as temporary:
        temporary.write_text(_card(campaign, to, labels), encoding="utf-8")
    return [*written, card], labels


def _card(campaign: Campaign, to: str, labels: Labels) -> str:
    """What the labels are, in Markdown."""
    batches = campaign.store.batches(asked=False)
    people = {row.annotator for row in labels.rows} - {""}
    lines = [
        f"# Labels of the campaign {campaign.directory.resolve().name}",
        "",
        f"Written {now()[:10]} by bayesrm {versions()['bayesrm']} in the format {to}.",
        "",
        "## Counts",
        "",
        f"- {counted(len(labels.rows), 'row')} from {counted(labels.answers, 'answer')} to "
        f"{counted(labels.questions, 'question')}.",
        f"- {counted(labels.tied, 'answer')} of these say tie; annotators differ on "
        f"{counted(labels.disagreements, 'question')}; {counted(labels.skips, 'skip')} more say nothing.",
        f"- {counted(len(people), 'annotator')} by name.",
        *_of_lists(labels),
        *(f"- Left out: {count} {reason}." for reason, count in labels.left_out.items()),
        "",
        "## Rule",
        "",
        f"- {RULES[labels.ties]}",
        f"- {RULES[labels.conflicts]}",
        "- Of several answers of one annotator to a question the latest counts; answers that were taken back are left "
        "out.",
        "- A soft label, a probability q, is two rows with weights q and 1 − q.",
        "",
        "## Design",
        "",
        "Pairs were chosen by these designs, so the labels are no random sample of all pairs:",
        "",
        *(f"- {_batch(entry)}" for entry in batches),
        "",
        _importance(batches),
        "",
        "## Pool",
        "",
        f"{counted(len(campaign.pool), 'response')} to {counted(campaign.pool.n_prompts, 'prompt')}, fingerprint "
        f"{campaign.settings['fingerprint']}. The campaign began {campaign.settings['created'][:10]} with seed "
        f"{campaign.settings['seed']}.",
        "",
        "## Columns",
        "",
        *(f"- `{name}`: {meaning}." for name, meaning in COLUMNS.items()),
        "",
        "`bayesrm campaign tell DIR FILE` reads the file into another campaign about the same pool, and "
        "`bayesrm embed FILE` makes a pool of it.",
        "",
    ]
    return "\n".join(lines)


def _of_lists(labels: Labels) -> list[str]:
    if not labels.rankings:
        return []
    are = one_or_many(labels.rankings, "is a ranking of a list", "are rankings of lists")
    return [
        f"- {counted(labels.rankings, 'answer')} {are}, of which each pair that it decides is a row, under the id of "
        "its question with the letters of the two. Told again, each of these rows counts as a pair, which is more "
        "than the rankings say: fit to the campaign for the posterior of the rankings."
    ]


def _batch(entry: dict[str, Any]) -> str:
    if entry["number"] == 0:
        return "Labels that came with the pool; nobody here chose their pairs."
    if entry["number"] < 0:
        return "Labels of data sets that were told; nobody here chose their pairs."
    scope = f", {entry['scope']}" if "scope" in entry else ""
    return f"Batch {entry['number']}: {entry['design']}{scope}, asked {entry['asked'][:10]}."


def _importance(batches: list[dict[str, Any]]) -> str:
    if any(entry.get("importance") for entry in batches):
        return (
            "Where pairs were sampled with known probabilities, `importance` is 1 / probability, scaled to average one "
            "in a batch: with it a fit sees the candidates and not what the design preferred. Multiply it to `weight` "
            "for a model that may be misspecified; a well-specified one is more precise without."
        )
    return (
        "No batch was sampled with known probabilities, so `importance` is 1 throughout: nothing corrects for the "
        "design."
    )
