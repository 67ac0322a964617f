"""Several runs side by side, one thread a process; results do not depend on how many processes there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch
import xarray as xr

from bayesrm.annotators.golden import GoldenAnnotator
from bayesrm.config import RunConfig
from bayesrm.data import load_golden, load_pool
from bayesrm.loop import run
from bayesrm.models.reward_model import RewardModel
from bayesrm.progress import bar
from bayesrm.results import RESULTS_FILE, combine, write_results

RUNS = "runs"


def execute(config: RunConfig, out: Path) -> Path:
    """Carry out one run in a folder; the folder is returned."""
    pool = load_pool(config.pool)
    test = None if config.test is None else (load_pool(config.test), load_golden(config.test))
    run(
        pool,
        GoldenAnnotator(load_golden(config.pool), config.temperature, seed=config.seed),
        test=test,
        model=RewardModel(
            pool.dim,
            encoder=config.encoder,
            hidden=config.hidden,
            likelihood=config.likelihood,
            prior_scale=config.prior_scale,
            training=config.training,
        ),
        inference=config.inference,
        design=config.design,
        selector=config.selector,
        scope=config.scope,
        prompts=config.prompts,
        candidates=config.candidates,
        identical=config.identical,
        per_prompt=config.per_prompt,
        per_response=config.per_response,
        min_within=config.min_within,
        batch_size=config.batch_size,
        rounds=config.rounds,
        seed=config.seed,
        out=out,
        draws=config.draws,
        log_likelihood=config.log_likelihood,
        device=config.device,
        progress=False,
    )
    return out


def sweep(configs: Sequence[RunConfig], out: Path, workers: int = 1, description: str = "Runs") -> xr.DataTree:
    """Carry out runs in folders below ``out``; finished ones are not repeated.

    Parameters
    ----------
    configs
        The runs; each gets ``out/runs/<its folder>``.
    out
        Where to put them, and their combined ``results.nc``.
    workers
        How many processes, of one thread each.

    Returns
    -------
    DataTree
        Combined ``trajectory`` and one run's posterior, see :func:`bayesrm.results.combine`.
    """
    folders = [out / RUNS / config.folder for config in configs]
    for _ in bar(_completed(configs, folders, workers), description, len(configs)):
        pass
    combined = combine(folders, posterior=True)
    write_results(combined, out / RESULTS_FILE)
    return combined


def _completed(configs: Sequence[RunConfig], folders: Sequence[Path], workers: int) -> Iterator[Path]:
    if workers <= 1 or len(configs) == 1:
        _one_thread()
        for config, folder in zip(configs, folders, strict=True):
            yield execute(config, folder)
        return
    with ProcessPoolExecutor(min(workers, len(configs)), get_context("spawn"), _one_thread) as executor:
        jobs = [executor.submit(execute, config, folder) for config, folder in zip(configs, folders, strict=True)]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            executor.shutdown(cancel_futures=True)


def _one_thread() -> None:
    torch.set_num_threads(1)
