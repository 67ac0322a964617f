"""``bayesrm export`` and ``score``: a reward model for others, and what it says of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import app, say
from bayesrm.utils.wording import counted, one_or_many

BROKEN_SHOWN = 10
"""Rows without scores that are listed; the others are counted."""


@app.command(epilog="Example:  [bold]bayesrm export runs/labels --to models/mine[/bold]")
def export(
    directory: Annotated[
        Path,
        typer.Argument(help="Folder of a campaign, of bayesrm fit, of a finished run, or of a pool with labels."),
    ],
    to: Annotated[Path, typer.Option(help="Folder to make.")],
    pool: Annotated[
        Path | None, typer.Option(help="Pool of the run; of a campaign or a fit only if it was moved.")
    ] = None,
    inference: Annotated[
        str | None,
        typer.Option(
            help="See [bold]bayesrm inferences[/bold]; default as recommended. A run and a fit have their own."
        ),
    ] = None,
    transformers: Annotated[
        bool,
        typer.Option(
            "--transformers",
            help="Write the base model too, for AutoModelForSequenceClassification; takes as much space as it.",
        ),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="What to call it in its card; default the folder's name.")
    ] = None,
) -> None:
    """Make a reward model that others can load: no pool, no labels, nothing pickled, with a card to read.

    In Python brm.load_reward_model(TO) scores texts or embeddings, with their uncertainty, and is a reward function for
    TRL's trainers. What bayesrm fit wrote is exported as it was fitted; of a pool the recommended model is fitted anew.
    """
    from bayesrm.export.files import counted_labels, read_description
    from bayesrm.inspection.export import export as write

    posterior = write(directory, to, pool, inference, transformers, name)
    described = read_description(to)
    labels = counted_labels(described["labels"])
    lines = [f"Fitted to {labels} ({posterior.inference}, {posterior.likelihood.name}) and written to {to}."]
    if described["embedding"] is None:
        lines.append(
            "The pool does not say how its texts were embedded, so this scores embeddings only; pools of "
            "bayesrm embed say it."
        )
    else:
        lines.append(f"Next: bayesrm score {to} FILE, or brm.load_reward_model({str(to)!r}).")
    if described.get("transformers", {}).get("kind") == "registered":
        lines.append("AutoModelForSequenceClassification loads it after `import bayesrm.export.auto`.")
    for line in lines:
        say(line)


@app.command(
    epilog="Example:  [bold]bayesrm score models/mine data/examples/responses.jsonl --kappa 1 "
    "--out scores.jsonl[/bold]"
)
def score(
    model: Annotated[Path, typer.Argument(help="Folder that bayesrm export made.")],
    file: Annotated[
        Path,
        typer.Argument(
            help="Texts in .jsonl, .json, .csv, .tsv or .parquet, in any form that bayesrm embed reads."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="New .jsonl, .csv or .parquet file; default NAME.scored beside FILE, of its kind."),
    ] = None,
    kappa: Annotated[
        float | None, typer.Option(min=0, help="Add reward_lower, the mean less this many standard deviations.")
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(help="What FILE calls the prompt, if not prompt.")] = None,
    response_column: Annotated[str | None, typer.Option(help="What FILE calls the response.")] = None,
    chosen_column: Annotated[str | None, typer.Option(help="What FILE calls the first of two answers.")] = None,
    rejected_column: Annotated[str | None, typer.Option(help="What FILE calls the other of two answers.")] = None,
    implicit_prompt: Annotated[
        bool,
        typer.Option(
            "--implicit-prompt",
            help="The prompt is what chosen and rejected both begin with, whatever other columns there are.",
        ),
    ] = False,
    without: Annotated[
        str | None,
        typer.Option(
            help="Covariates to hold at their mean over the pool of the fit, with commas between; length stands for "
            "all that say how long a text is."
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="The model that embeds texts, if it is not where MODEL says.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where to compute, such as cuda; default a GPU for texts where there is one."),
    ] = None,
) -> None:
    """Add rewards to a file of texts: columns reward and reward_sd, and for pairs preference_probability.

    A reward is in logits, measured from the average response of the pool that the model was fitted on. Rows that cannot
    be scored stay in the file, with the reason in reward_error.
    """
    from bayesrm.export import load_reward_model
    from bayesrm.export.score_file import score_file

    mapping = {
        "prompt": prompt_column,
        "response": response_column,
        "chosen": chosen_column,
        "rejected": rejected_column,
    }
    scored = score_file(
        load_reward_model(model, base=base, device=device),
        file,
        out,
        kappa,
        {name: column for name, column in mapping.items() if column},
        implicit_prompt=implicit_prompt,
        without=[name.strip() for name in (without or "").split(",") if name.strip()],
    )
    say(
        f"Read as {scored.format}: {counted(scored.responses, 'response')} in {counted(scored.rows, 'row')} scored "
        f"into {scored.path}."
    )
    for note in scored.notes:
        say(note)
    if scored.broken:
        broken = len(scored.broken)
        say(
            f"{counted(broken, 'row')} {one_or_many(broken, 'has', 'have')} no scores, and {scored.unreadable:,} of "
            f"them could not be read and {one_or_many(scored.unreadable, 'is', 'are')} not in the file:"
        )
        for row in scored.broken[:BROKEN_SHOWN]:
            say(f"  {row}")
        if len(scored.broken) > BROKEN_SHOWN:
            say(f"  and {len(scored.broken) - BROKEN_SHOWN:,} more")
