"""From the folder of a run or a campaign to the reasons for what it asked in one of its rounds or batches."""

from __future__ import annotations

from pathlib import Path

from bayesrm import rng
from bayesrm.campaign import Campaign
from bayesrm.data import load_pool
from bayesrm.design.explanation import Explanation
from bayesrm.design.lists.explanation import ListExplanation
from bayesrm.errors import InvalidInputError
from bayesrm.inference import fit
from bayesrm.inspection.campaigns import explain_batch, is_campaign
from bayesrm.inspection.diagnose import folder_of_run, inference_of_run, model_of_run, require_pool_of_run
from bayesrm.plots.runs import batch_projection, save
from bayesrm.runs.journal import read_configuration, read_records
from bayesrm.types import Preferences
from bayesrm.utils.csv_cells import csv_of
from bayesrm.utils.files import replacing


def explain_folder(
    directory: Path, pool: Path | None = None, number: int | None = None
) -> tuple[Explanation | ListExplanation, list[Path]]:
    """Explain a batch of a campaign, counted from 1, or a round of a run, from 0: see :func:`explain_run`.

    Raises
    ------
    InvalidInputError
        Where there is no such batch or round, or of a run no pool is given.
    """
    if is_campaign(directory):
        batch, explanation = explain_batch(Campaign.open(directory, pool), number)
        return explanation, _write(explanation, directory, f"batch-{batch:03d}-explained")
    if pool is None:
        raise InvalidInputError("expected --pool, the pool of the run: its posterior is fitted again")
    return explain_run(directory, pool, number)


def explain_run(
    directory: Path, pool: Path, round_index: int | None = None
) -> tuple[Explanation | ListExplanation, list[Path]]:
    """Explain the pairs of a round, and write the table and a figure into the run's folder; of lists the table.

    Parameters
    ----------
    directory
        Of a run, finished or still running; of several runs the one with a posterior in their results.
    pool
        Of the run: its posterior before the round is fitted again.
    round_index
        Which round, from 0; default the last one.

    Returns
    -------
    explanation, files
        Why these pairs or lists, and where the table (CSV) and the figure (PNG) are.

    Raises
    ------
    InvalidInputError
        Where there is no such round, or the pool is another one.
    """
    folder = folder_of_run(directory)
    configuration = read_configuration(folder)
    records = read_records(folder)
    chosen = len(records) - 1 if round_index is None else round_index
    if not 0 <= chosen < len(records):
        raise InvalidInputError(
            f"expected a round between 0 and {len(records) - 1} of the run in {folder}, got {round_index}"
            if records
            else f"no round of the run in {folder} is finished yet: there is nothing to explain"
        )
    responses = load_pool(pool)
    require_pool_of_run(configuration, responses)
    labels = Preferences.none()
    for record in records[:chosen]:
        labels = labels.append(record.labels)
    model, seed = model_of_run(configuration["model"], responses), rng.child(configuration["seed"], "fit")
    posterior = fit(model, responses, labels, inference_of_run(configuration), seed)
    explanation = records[chosen].selection.explain(posterior)
    return explanation, _write(explanation, folder, f"round_{chosen:04d}")


def _write(explanation: Explanation | ListExplanation, folder: Path, stem: str) -> list[Path]:
    """The table, and of pairs the figure."""
    table, figure = (folder / f"{stem}.{suffix}" for suffix in ("csv", "png"))
    with replacing(table) as temporary:
        temporary.write_text(
            csv_of(explanation.table, index=True), encoding="utf-8", errors="surrogatepass", newline=""
        )
    if isinstance(explanation, ListExplanation):
        return [table]
    save(batch_projection(explanation.projection), figure)
    return [table, figure]
