"""Sheets as somebody filled them in, told to a campaign."""

from __future__ import annotations

import csv
import io

from bayesrm.campaign.answers import latest


def sheet(questions, sides, **columns) -> bytes:
    """A filled-in CSV."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["question", "answer", *columns])
    for number, (question, side) in enumerate(zip(questions, sides, strict=True)):
        writer.writerow([question.id, side, *(values[number] for values in columns.values())])
    return out.getvalue().encode()


def tell(campaign, data: bytes, name="answers.csv", **options):
    path = campaign.directory.parent / name
    path.write_bytes(data)
    return campaign.tell(path, **options)


def standing(campaign) -> dict[tuple[str, str], str]:
    """Question and annotator → verdict, of the answers that count."""
    return {key: answer.verdict for key, answer in latest(campaign.store.answers()).items()}
