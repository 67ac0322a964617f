"""The report of a campaign: whether to go on, then what that rests on; one HTML file with nothing beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from bayesrm.campaign import Campaign
from bayesrm.campaign.advice import advice
from bayesrm.campaign.findings import Findings, Reliability
from bayesrm.campaign.outlook import sentences
from bayesrm.campaign.status import Status
from bayesrm.design.chance import chance_sentence
from bayesrm.design.explanation import Explanation
from bayesrm.design.lists.explanation import ListExplanation
from bayesrm.diagnostics.checks import CHECKS
from bayesrm.diagnostics.diagnosis import MARKS, Diagnosis
from bayesrm.plots.diagnosis import draw
from bayesrm.plots.runs import batch_projection, svg
from bayesrm.reports.runs import REPORT_FILE
from bayesrm.utils.files import replacing
from bayesrm.utils.wording import counted, one_or_many

PICTURED = ("history", "annotators", "reliability", "length")
"""Checks whose figures the report has, in this order; the page of ``bayesrm diagnose`` has all."""
MOST_PAIRS, MOST_LISTS = 20, 8
SHOWN = 160
"""Characters of a text; whole ones are in the table that ``bayesrm explain`` writes."""
EARLIER = 5


def write_report(
    campaign: Campaign,
    now: Status,
    diagnosis: Diagnosis,
    explained: tuple[int, Explanation | ListExplanation] | None,
) -> Path:
    """Write the page into the campaign's folder; whole or not at all.

    Parameters
    ----------
    campaign
        Any.
    now
        Where it stands, with a fit to all its answers.
    diagnosis
        Of its posterior.
    explained
        Number and reasons of a batch; None shows none.
    """
    path = campaign.directory / REPORT_FILE
    with replacing(path) as temporary:
        temporary.write_text(render(campaign, now, diagnosis, explained), encoding="utf-8")
    return path


def render(
    campaign: Campaign,
    now: Status,
    diagnosis: Diagnosis,
    explained: tuple[int, Explanation | ListExplanation] | None,
) -> str:
    """The page."""
    findings = now.rounds[-1]
    pictures = {finding.check: finding for finding in diagnosis.findings if finding.data is not None}
    template = Environment(
        loader=PackageLoader("bayesrm.reports", "templates"), autoescape=True, undefined=StrictUndefined
    ).get_template("campaign.html.j2")
    return template.render(
        title=campaign.directory.resolve().name,
        about=f"{counted(len(campaign.pool), 'response')} to {counted(campaign.pool.n_prompts, 'prompt')}",
        verdict=advice(now),
        progress=_progress(now),
        batches=now.batches,
        chance=chance_sentence(entry.design for entry in now.batches),
        lists=any(entry.members > 2 for entry in now.batches),
        quality=_quality(now.rounds),
        by_design=_by_design(findings),
        likelihood=findings.likelihood,
        sentences=sentences(findings),
        checks=[(finding.status, MARKS[finding.status], finding.sentence) for finding in diagnosis.findings],
        figures=[_figure(pictures[name].check, pictures[name].data) for name in PICTURED if name in pictures],
        people=[_person(person) for person in findings.annotators],
        agreement=str(now.agreement) if len(now.people) > 1 else "",
        batch=None if explained is None else _batch(*explained),
        settings={
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in _settings(campaign).items()
        },
        versions=json.loads(diagnosis.tree.attrs["versions"]),
    )


def _progress(now: Status) -> str:
    still_open = sum(entry.open for entry in now.batches)
    parts = [
        f"{counted(now.used, 'answer')} {one_or_many(now.used, 'is', 'are')} used, {now.ties} of them "
        f"{one_or_many(now.ties, 'a tie', 'ties')}",
        f"{counted(now.skips, 'question')} {one_or_many(now.skips, 'was', 'were')} skipped",
        f"{counted(still_open, 'question')} {one_or_many(still_open, 'is', 'are')} open",
        f"{counted(now.texts, 'text')} {one_or_many(now.texts, 'was', 'were')} read for them",
    ]
    return "; ".join(parts) + "."


def _by_design(findings: Findings) -> bool:
    return any(later.random is not None for later in findings.forecast.later)


def _quality(rounds: tuple[Findings, ...]) -> list[list[str]]:
    """Rows of the table of quality: fits before, now, and after more labels."""
    rows = [
        [f"{one.labels}", str(one.forecast.now.one_minus_spearman), str(one.forecast.now.regret), ""]
        for one in rounds[-EARLIER - 1 : -1]
    ]
    findings = rounds[-1]
    outlook = findings.forecast
    rows.append([f"{findings.labels} now", str(outlook.now.one_minus_spearman), str(outlook.now.regret), ""])
    for later in outlook.later:
        needed = later.random
        many = "" if needed is None else f"> {5 * later.labels}" if needed == float("inf") else f"{needed:.0f}"
        rows.append([f"+{later.labels}", str(later.one_minus_spearman), str(later.regret), many])
    return rows


def _figure(check: str, data: Any) -> dict[str, Any]:
    figure = draw(check, data)
    part = CHECKS[check]
    return {
        "title": part.title,
        "caption": part.caption,
        "svg": "" if figure is None else svg(figure),
        "wide": figure is not None and bool(figure.get_figwidth() > 8),
    }


def _person(person: Reliability) -> dict[str, Any]:
    slope = "–" if person.temperature is None else str(person.temperature)
    shared = f"{person.alike:.0%} of {person.shared}" if person.shared else "–"
    return {
        "name": person.name,
        "look": person.unreliable,
        "cells": [
            str(person.answers),
            f"{person.right:.0%} (90%: {person.low:.0%}–{person.high:.0%})",
            f"{person.expected:.0%}",
            shared,
            f"{person.random:.0%}",
            slope,
        ],
    }


def _batch(number: int, explanation: Explanation | ListExplanation) -> dict[str, Any]:
    table = explanation.table
    if isinstance(explanation, ListExplanation):
        return _lists(number, explanation)
    return {
        "lists": False,
        "number": number,
        "design": explanation.design,
        "figure": svg(batch_projection(explanation.projection)),
        "rows": [_pair(row) for _, row in table.head(MOST_PAIRS).iterrows()],
        "left_out": max(0, len(table) - MOST_PAIRS),
        "texts": "first_text" in table,
        "gains": bool((table["gain"] != 0).any()),
    }


def _lists(number: int, explanation: ListExplanation) -> dict[str, Any]:
    """A row a member; those of one list stand together."""
    table = explanation.table.reset_index()
    shown = table[table["list"] < MOST_LISTS]
    return {
        "lists": True,
        "number": number,
        "design": explanation.design,
        "rows": [_member(row) for _, row in shown.iterrows()],
        "left_out": max(0, table["list"].nunique() - MOST_LISTS),
        "texts": "text" in table,
        "gains": bool((table["gain"] != 0).any()),
    }


def _member(row: pd.Series[Any]) -> dict[str, Any]:
    return {
        "prompt": _short(str(row["prompt"])) if row["place"] == 1 else "",
        "cells": [
            f"{row['reward']:.3g} ± {row['reward_sd']:.3g}",
            f"{row['best']:.0%}",
            f"{row['gain']:.3g}" if row["place"] == 1 else "",
        ],
        "texts": [_short(str(row["text"]))] if "text" in row.index else [],
    }


def _pair(row: pd.Series[Any]) -> dict[str, Any]:
    texts = [_short(str(row[name])) for name in ("first_text", "second_text") if name in row.index]
    figures = [f"{row['probability']:.0%}", f"{row['logit_variance']:.3g}", f"{row['fisher_weight']:.3g}"]
    return {
        "prompt": _short(str(row["first_prompt"])),
        "cells": [*figures, f"{row['gain']:.3g}"],
        "texts": texts,
    }


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= SHOWN else f"{plain[: SHOWN - 1]}…"


def _settings(campaign: Campaign) -> dict[str, Any]:
    kept = ("created", "seed", "targets")
    return (
        {"campaign": str(campaign.directory), "pool": str(campaign.pool_path)}
        | {name: campaign.settings.get(name) for name in kept}
        | json.loads(campaign.configuration.model_dump_json())
    )
