"""``bayesrm embed`` and ``merge-shards``: from texts to a pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesrm.cli.app import app, keeps, say
from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import counted, one_or_many

if TYPE_CHECKING:
    from bayesrm.data.texts import Texts
    from bayesrm.embedding import EmbeddedPool, Embedder

BROKEN_SHOWN = 10
"""Rows that were left out and are listed; the others are counted."""


@app.command(
    epilog="Example:  [bold]bayesrm embed data/examples/responses.jsonl --model sentence-transformers/all-MiniLM-L6-v2 "
    "--out pools/mine[/bold]"
)
def embed(
    source: Annotated[
        str,
        typer.Argument(
            help="Texts: a .jsonl, .json, .csv, .tsv or .parquet file (.gz too), a folder of them, or a data set of "
            "the hub."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Encoder or decoder: its name on the hub, or a folder with its files.")
    ],
    out: Annotated[Path, typer.Option(help="Pool to make; one that was begun with the same texts continues.")],
    prompt_column: Annotated[
        str | None,
        typer.Option(help="What SOURCE calls the prompt, if not prompt, instruction, question and the like."),
    ] = None,
    implicit_prompt: Annotated[
        bool,
        typer.Option(
            "--implicit-prompt",
            help="The prompt is what chosen and rejected both begin with, whatever other columns there are.",
        ),
    ] = False,
    response_column: Annotated[
        str | None, typer.Option(help="What SOURCE calls the response, or the list of responses.")
    ] = None,
    chosen_column: Annotated[
        str | None, typer.Option(help="What SOURCE calls the preferred of two answers; with a winner, the first.")
    ] = None,
    rejected_column: Annotated[
        str | None, typer.Option(help="What SOURCE calls the other of two answers; with a winner, the second.")
    ] = None,
    winner_column: Annotated[
        str | None, typer.Option(help="Which column says which of two answers is better.")
    ] = None,
    winner_values: Annotated[
        str | None,
        typer.Option(
            help="What its values mean: first, second, tie, or skip for no label, such as 1=first,2=second,0=tie. "
            "Default: words like model_a, response_b, left and tie as they read."
        ),
    ] = None,
    prompt_id_column: Annotated[
        str | None, typer.Option(help="Which column groups responses; default, equal prompts are one.")
    ] = None,
    generator_column: Annotated[
        str | None, typer.Option(help="Which column says what wrote the response.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of a data set of the hub; default train.")] = None,
    config: Annotated[str | None, typer.Option(help="Configuration of a data set of the hub.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the model.")] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="last, mean or first token, or several such as mean,last, each a block; default what the model's "
            "files say, else last for decoders, mean for encoders."
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Hidden layers, each a block of the embedding: all, last, or numbers such as 0,3,6 (0 the input "
            "embeddings, -1 the last). Default all of an encoder, because its last layer forgets what makes a text "
            "good and the pass computes the others anyway, and four of a decoder, evenly spaced."
        ),
    ] = None,
    layer: Annotated[int | None, typer.Option(help="One hidden layer, as --layers.", hidden=True)] = None,
    template: Annotated[
        str | None,
        typer.Option(
            help="chat: the tokenizer's chat template; plain: prompt, empty line, response; pair: as two texts. "
            "Default chat where there is a template."
        ),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Window; default the model's.")] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="What the model computes in: float32, bfloat16 or float16; default float32 on a CPU, "
            "else bfloat16."
        ),
    ] = None,
    store: Annotated[str, typer.Option(help="What embeddings are kept in: float16 or float32.")] = "float16",
    device: Annotated[
        str | None, typer.Option(help="Where to compute, such as cuda; default a GPU where there is one.")
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Tokens a batch, padding included; default 4,096 on a CPU, else 65,536.")
    ] = None,
    padding_side: Annotated[
        str, typer.Option(help="right or left; makes no difference but for rounding.")
    ] = "right",
    surface: Annotated[
        bool,
        typer.Option(
            "--surface/--no-surface",
            help="Keep length, lines, list items and the like of each response as covariates beside the embedding.",
        ),
    ] = True,
    covariate: Annotated[
        list[str] | None,
        typer.Option(help="A column of numbers in SOURCE to keep as a covariate; may be given several times."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="A reward model that you have, on the hub or in a folder: its score is kept as the covariate judge. "
            "Every shard scores all texts."
        ),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(
            help="i/n: compute the i-th of n parts, each into its own --out; then [bold]bayesrm merge-shards[/bold]."
        ),
    ] = "1/1",
) -> None:
    """Turn texts into a pool: every response embedded with its prompt, and labels it came with kept beside it.

    SOURCE may have prompts with responses, or answers that somebody compared, in any of the forms that
    [bold]bayesrm formats[/bold] lists, told by their columns. Labels go to preferences.parquet.

    Texts longer than the window lose the middle of the prompt, never the response while it fits. Killed, the same
    command goes on where it was.
    """
    keeps(out)
    from bayesrm.data.covariates import JUDGE, SURFACE
    from bayesrm.data.source_columns import read_covariates
    from bayesrm.data.texts import read_texts
    from bayesrm.embedding import Embedder, EmbeddingSettings, embed_texts
    from bayesrm.embedding.settings import RECOMMENDED

    part = _shard(shard)
    if layer is not None and layers is not None:
        raise InvalidInputError("expected either --layer or --layers, got both")
    settings = EmbeddingSettings(
        model,
        revision,
        pooling,
        template=template,
        max_tokens=max_tokens,
        padding_side=padding_side,
        dtype=dtype,
        batch_tokens=batch_tokens,
        layers=layers or (RECOMMENDED if layer is None else str(layer)),
        covariates=tuple(SURFACE) if surface else (),
    )
    mapping = {
        "prompt": prompt_column,
        "response": response_column,
        "chosen": chosen_column,
        "rejected": rejected_column,
        "winner": winner_column,
        "prompt_id": prompt_id_column,
        "generator": generator_column,
    }
    texts = read_texts(
        source,
        {name: column for name, column in mapping.items() if column},
        split,
        config,
        None if winner_values is None else _meanings(winner_values),
        implicit_prompt,
        covariate or (),
    )
    _tell_texts(texts)
    beside = read_covariates(source, texts, covariate or [], split, config)
    described = None
    if judge is not None:
        from bayesrm.annotators.hub import HubRewardModel

        scorer = HubRewardModel(judge, dtype=dtype, device=device)
        described = scorer.describe()
        beside[JUDGE] = scorer.score(texts.prompts, texts.responses, show_progress=True)
    embedder = Embedder(settings, device)
    _tell_plan(embedder, len(texts), store)
    made = embed_texts(texts, embedder, out, part, store, covariates=beside, judge=described)
    _tell_pool(made)
    if not made.complete:
        say(f"This is shard {shard}: when all are done, run  bayesrm merge-shards SHARD… --out POOL")


@app.command(
    name="merge-shards", epilog="Example:  [bold]bayesrm merge-shards pools/part-* --out pools/mine[/bold]"
)
def merge_shards(
    shards: Annotated[list[Path], typer.Argument(help="Folders that embed --shard i/n made, all n of them.")],
    out: Annotated[Path, typer.Option(help="Pool to make.")],
) -> None:
    """Put together what several processes or machines embedded with --shard."""
    from bayesrm.embedding import merge_shards as merge

    _tell_pool(merge(shards, out))


def _shard(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise InvalidInputError(f"expected --shard i/n with i from 1 to n, such as 2/4, got {text}")
    return int(number), int(count)


def _meanings(text: str) -> dict[str, str]:
    """``1=first,2=second`` as a dictionary; a value may itself have an equals sign."""
    found = {}
    for part in text.split(","):
        value, equals, meaning = part.rpartition("=")
        if not equals or not value.strip() or value.strip() in found:
            raise InvalidInputError(f"expected --winner-values such as 1=first,2=second,0=tie, got {text}")
        found[value.strip()] = meaning.strip().lower()
    return found


def _tell_texts(texts: Texts) -> None:
    """What was read, and what was not."""
    labels = "" if texts.preferences is None else f", {counted(len(texts.preferences), 'label')}"
    responses = counted(len(texts), "response")
    say(f"Read as {texts.format}: {responses} from {counted(texts.rows, 'row')}{labels}.")
    for note in texts.notes:
        say(note)
    if texts.identical:
        same = texts.identical
        say(
            f"{counted(same, 'label')} {one_or_many(same, 'compares', 'compare')} a text with itself and "
            f"{one_or_many(same, 'was', 'were')} set aside."
        )
    if texts.broken:
        broken = len(texts.broken)
        say(f"{counted(broken, 'row')} cannot be used and {one_or_many(broken, 'was', 'were')} left out:")
        for row in texts.broken[:BROKEN_SHOWN]:
            say(f"  {row}")
        if len(texts.broken) > BROKEN_SHOWN:
            say(f"  and {len(texts.broken) - BROKEN_SHOWN:,} more")


def _tell_plan(embedder: Embedder, texts: int, store: str) -> None:
    """What will be made, and how large it gets, before it begins."""
    from bayesrm.embedding.pool import size_of

    blocks, size = embedder.blocks, size_of(texts, embedder, store) / 2**20
    layers = (
        f"hidden layers {embedder.settings.layers.replace(',', ', ')}" if embedder.settings.layers else "one layer"
    )
    head = "" if not len(embedder.head) else f", the last one through its {embedder.head}"
    say(
        f"Embedding with {layers} ({embedder.settings.pooling}){head}: {counted(len(blocks), 'block')}, "
        f"{embedder.dim:,} numbers a response, {size:,.1f} MiB in all, twice as much while it is made."
    )


def _tell_pool(made: EmbeddedPool) -> None:
    lines = []
    if made.cut_prompts:
        prompts = one_or_many(
            made.cut_prompts,
            "is longer than the window: its prompt was",
            "are longer than the window: their prompts were",
        )
        lines.append(
            f"{counted(made.cut_prompts, 'text')} {prompts} shortened, and "
            f"{counted(made.cut_responses, 'response')} that alone {one_or_many(made.cut_responses, 'is', 'are')} "
            "longer."
        )
    if made.unique < made.responses:
        same = made.responses - made.unique
        lines.append(
            f"{counted(same, 'response')} {one_or_many(same, 'reads', 'read')} the same to the model as another and "
            f"{one_or_many(same, 'was', 'were')} computed once."
        )
    if made.resumed:
        lines.append(
            f"{counted(made.resumed, 'batch', 'batches')} {one_or_many(made.resumed, 'was', 'were')} there "
            f"already, {made.computed:,} {one_or_many(made.computed, 'was', 'were')} computed now."
        )
    beside = f", and {counted(made.preferences, 'label')} in preferences.parquet" if made.preferences else ""
    lines.append(
        f"{'The pool' if made.complete else 'The shard'} is {made.path}: "
        f"{counted(made.responses, 'response')} to {counted(made.prompts, 'prompt')}, of dimension {made.dim:,}"
        + (f" in {made.blocks} blocks" if made.blocks > 1 else "")
        + (f", with {counted(len(made.covariates), 'covariate')}" if made.covariates else "")
        + f"{beside}."
    )
    for line in lines:
        say(line)
