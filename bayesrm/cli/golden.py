"""``bayesrm golden``: golden rewards of a pool from a reward model of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesrm.cli.app import app, keeps, say
from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import counted


@app.command(
    epilog="Example:  [bold]bayesrm golden pools/mine --model Skywork/Skywork-Reward-V2-Qwen3-0.6B[/bold]"
)
def golden(
    pool: Annotated[Path, typer.Argument(help="Pool directory with texts, as bayesrm embed makes it.")],
    model: Annotated[
        str | None,
        typer.Option(help="Reward model with one output: its name on the hub, or a folder with its files."),
    ] = None,
    from_column: Annotated[
        str | None,
        typer.Option(
            help="In place of a model: a column of scores of --source, such as overall_score, or a covariate."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="What the pool was embedded from; its rows are matched by their texts.")
    ] = None,
    prompt_column: Annotated[
        str | None, typer.Option(help="What --source calls the prompt, if not prompt, question and the like.")
    ] = None,
    response_column: Annotated[
        str | None, typer.Option(help="What --source calls the response, or the list of responses.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the model.")] = None,
    template: Annotated[
        str | None,
        typer.Option(help="chat, plain or pair; default the tokenizer's chat template where it has one."),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Window; default the model's.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Where to compute, such as cuda; default a GPU where there is one.")
    ] = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens a batch, padding included.")] = 4096,
) -> None:
    """Score every response with a reward model, or by a column, and keep the scores as the pool's golden rewards.

    With them a pool can be simulated on: bayesrm run asks them in place of people. Killed, the same command goes on
    where it was: scores are kept in the folder .scores of the pool, which can be deleted afterwards.
    """
    if (model is None) == (from_column is None):
        raise InvalidInputError("expected either --model, which scores, or --from-column, which has scores")
    if model is None:
        from bayesrm.data.golden_column import golden_from_column

        assert from_column is not None
        mapping = {"prompt": prompt_column, "response": response_column}
        given = {name: column for name, column in mapping.items() if column}
        path, count = golden_from_column(pool, from_column, source, given)
        say(f"The golden rewards are {path}: {counted(count, 'score')} of the column {from_column}.")
        return
    keeps(pool / ".scores")
    from bayesrm.annotators.hub import HubRewardModel, write_golden

    scorer = HubRewardModel(
        model,
        revision,
        pool / ".scores" if pool.is_dir() else None,
        template,
        max_tokens,
        dtype,
        device,
        batch_tokens,
    )
    path, count = write_golden(pool, scorer)
    say(f"The golden rewards are {path}: {counted(count, 'score')} of {model}.")
