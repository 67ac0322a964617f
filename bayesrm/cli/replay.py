"""``bayesrm replay``: would a design have saved labels on votes that people gave already?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import View, app, say, show
from bayesrm.cli.options import Workers

TITLES = {
    "vote_log_loss": "log loss of held-out votes ↓",
    "vote_accuracy": "accuracy of held-out votes ↑",
    "one_minus_spearman": "1−Spearman to the consensus ↓",
}


@app.command(
    epilog="Example:  [bold]bayesrm replay mine/pool --votes mine/votes.csv --designs random,epig "
    "--out runs/replay[/bold]"
)
def replay(
    pool: Annotated[Path, typer.Argument(help="The pool that was voted on.")],
    votes: Annotated[
        Path,
        typer.Option(
            help="A row a vote: first, second (rows of the pool's responses), outcome (1, 0, 0.5 for a tie), "
            "annotator; .parquet, .csv or .jsonl. Or the folder of a campaign; or texts that people compared, in any "
            "form of [bold]bayesrm formats[/bold] or as Label Studio and Argilla export them."
        ),
    ],
    test: Annotated[
        Path | None, typer.Option(help="A test pool; default, a share of the prompts is held out.")
    ] = None,
    test_votes: Annotated[
        Path | None, typer.Option(help="Its votes; default those in its folder, else its golden rewards.")
    ] = None,
    designs: Annotated[
        str, typer.Option(help="Designs with commas between; random is always there.")
    ] = "random,epig",
    budget: Annotated[
        int | None, typer.Option(help="Votes that a design may use; default half of the pairs.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Votes a round; default 25, or an eighth of the votes so far where that is more."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How often all is repeated, with other prompts held out.")] = 5,
    test_share: Annotated[float, typer.Option(help="Share of the prompts that is held out.")] = 0.25,
    inference: Annotated[str, typer.Option(help="See [bold]bayesrm inferences[/bold].")] = "laplace",
    out: Annotated[Path | None, typer.Option(help="A folder for the results and report.html.")] = None,
    workers: Workers = 2,
) -> None:
    """Would active selection have saved labels? Designs compared on recorded votes, each vote used once.

    Pairs that somebody voted on are the only ones that can be asked; quality is measured on votes about prompts that
    were held out.
    """
    import bayesrm as brm
    from bayesrm.data.votes import VOTES
    from bayesrm.evaluation.summary import headroom_verdict
    from bayesrm.reports.runs import REPORT_FILE, render
    from bayesrm.runs.replay import findings
    from bayesrm.utils.files import replacing

    opened = brm.load_pool(pool)
    other = None
    if test is not None:
        voted = test_votes is not None or (test.is_dir() and (test / VOTES).exists())
        known = brm.load_votes(test_votes or test, test) if voted else brm.load_golden(test)
        other = (brm.load_pool(test), known)
    names = [name.strip() for name in designs.split(",") if name.strip()]
    tree = brm.replay(
        opened,
        brm.load_votes(votes, pool),
        other,
        names,
        budget,
        batch_size,
        seeds,
        None,
        inference,
        test_share,
        out,
        workers=workers,
    )
    trajectory = tree["trajectory"].to_dataset()
    last = trajectory.isel(round=-1).mean("seed")
    view = View(f"After {int(trajectory['labels'][-1])} votes, mean of {seeds} seeds")
    view.add_column("design")
    metrics = [name for name in TITLES if name in last]
    for name in metrics:
        view.add_column(TITLES[name], justify="right")
    for design in last["design"].values:
        view.add_row(str(design), *(f"{float(last[name].sel(design=design)):.3f}" for name in metrics))
    show(view)
    for sentence in findings(tree):
        say(sentence)
    said = headroom_verdict(trajectory)
    if said:
        say(said)
    if out is not None:
        with replacing(out / REPORT_FILE) as temporary:
            temporary.write_text(render(tree, title=f"Votes on {pool.name} replayed"), encoding="utf-8")
        say(f"The report is {out / REPORT_FILE}.")
