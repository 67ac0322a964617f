"""From the folder of a finished run or a campaign to its diagnosis.

Of a run what its file says alone, and more where its pool is given; a campaign knows where its pool is.
"""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesrm import rng
from bayesrm.data import load_golden, load_pool
from bayesrm.diagnostics import Diagnosis, diagnose
from bayesrm.diagnostics.sbc import frozen
from bayesrm.errors import InvalidInputError
from bayesrm.inference import INFERENCES, fit
from bayesrm.inference.base import Inference
from bayesrm.inspection.campaigns import Against, diagnose_campaign, is_campaign, open_campaign
from bayesrm.inspection.fitted import LABELS_FILE, is_fit, is_pool, origin_of
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.models.likelihoods.described import make_likelihood
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.reports.diagnosis import write_page
from bayesrm.runs.checksums import changed_files
from bayesrm.runs.combine import run_folders
from bayesrm.runs.journal import RUN_FILE, read_records
from bayesrm.runs.results import RESULTS_FILE, configuration_of, load_results, open_results, write_results
from bayesrm.runs.settings import ModelSettings
from bayesrm.types import Preferences, ResponsePool

PAGE_FILE, TREE_FILE = "diagnosis.html", "diagnosis.nc"
SAME_POSTERIOR = 1e-2
"""A refit whose location differs by more than this part of its length is of other data; by less, of another machine."""


def diagnose_folder(
    directory: Path,
    pool: Path | None = None,
    test: Path | None = None,
    reference: str | None = None,
    sbc: int = 0,
    seed: int = 0,
    workers: int = 1,
) -> tuple[Diagnosis, Path]:
    """Diagnose the posterior of a campaign, or the final one of a run: see :func:`diagnose_run`."""
    if not is_campaign(directory):
        return diagnose_run(directory, pool, test, reference, sbc, seed, workers)
    campaign, posterior = open_campaign(directory, pool)
    diagnosis = diagnose_campaign(campaign, posterior, Against(test, reference, sbc, seed, workers))
    settings = {"campaign": str(directory), "answers": len(posterior.preferences)} | posterior.model.describe()
    return diagnosis, _write(diagnosis, directory, settings, sbc, seed, campaign.pool_path, test, reference)


def diagnose_run(
    directory: Path,
    pool: Path | None = None,
    test: Path | None = None,
    reference: str | None = None,
    sbc: int = 0,
    seed: int = 0,
    workers: int = 1,
) -> tuple[Diagnosis, Path]:
    """Diagnose the final posterior of a run, and write the page and the numbers into its folder.

    Parameters
    ----------
    directory
        Of a finished run, or of several, of which the one whose posterior is in their combined results is taken.
    pool
        Of the run: the posterior is fitted again, for all that follows. Without it the file alone is diagnosed.
    test
        A test pool with golden rewards, for calibration and coverage at the temperature of the run's annotator.
    reference
        An inference to hold the posterior against, on the same labels and features, such as "nuts".
    sbc
        Simulated data sets for simulation-based calibration.
    seed, workers
        As for ``diagnose``.

    Returns
    -------
    diagnosis, page
        What was found, and the path of the HTML file.

    Raises
    ------
    InvalidInputError
        Where there is no finished run, the pool is another one, or something is asked that needs it.
    """
    folder = folder_of_run(directory)
    tree = load_results(folder)
    configuration = configuration_of(tree)
    inference = configuration["inference"]
    if pool is None:
        if test is not None or reference is not None or sbc:
            raise InvalidInputError(
                "expected --pool, the pool of the run, with --test, --reference and --sbc: they need its posterior"
            )
        diagnosis = diagnose(tree, inference=inference, seed=seed)
    else:
        posterior = _refitted(folder, tree, configuration, load_pool(pool))
        diagnosis = diagnose(
            posterior,
            test=None if test is None else (load_pool(test), load_golden(test)),
            temperature=configuration["annotator"].get("temperature", 1.0),
            reference=None if reference is None else _refit_with(reference, posterior, seed),
            inference=inference,
            sbc=sbc,
            draws=configuration["draws"],
            seed=seed,
            workers=workers,
        )
    settings = {"run": str(folder)} | configuration
    return diagnosis, _write(diagnosis, folder, settings, sbc, seed, pool, test, reference)


def _write(
    diagnosis: Diagnosis,
    folder: Path,
    settings: dict[str, Any],
    sbc: int,
    seed: int,
    pool: Path | None,
    test: Path | None,
    reference: str | None,
) -> Path:
    """The page, and the numbers beside it; what was asked stands before the settings of what was diagnosed."""
    page = folder / PAGE_FILE
    write_results(diagnosis.tree, folder / TREE_FILE)
    asked = {"sbc": sbc, "seed": seed} | {
        name: str(value) for name, value in (("pool", pool), ("test", test), ("reference", reference)) if value
    }
    write_page(diagnosis, page, folder.resolve().name, _changed(folder) | asked | settings)
    return page


def _changed(folder: Path) -> dict[str, str]:
    """What the page says where files are not as they were written."""
    changed = changed_files(folder)
    return {"changed since": "; ".join(changed)} if changed else {}


def refitted_run(directory: Path, pool: ResponsePool) -> RewardPosterior:
    """The final posterior of a run, fitted again from its labels; of several runs, as for :func:`diagnose_run`."""
    folder = folder_of_run(directory)
    tree = load_results(folder)
    return _refitted(folder, tree, configuration_of(tree), pool)


def folder_of_run(directory: Path) -> Path:
    """The run itself, or of several the one whose posterior their combined results hold."""
    if not directory.is_dir():
        raise InvalidInputError(f"there is no folder {directory}")
    if (directory / RUN_FILE).exists():
        return directory
    runs = run_folders(directory)
    if not runs:
        if is_pool(directory) or is_fit(directory):
            raise InvalidInputError(f"expected a run in {directory}, or a campaign, and {_what_it_is(directory)}")
        raise InvalidInputError(f"expected a run in {directory}, and there is none: make one with `bayesrm run`")
    chosen = None
    if (directory / RESULTS_FILE).exists():
        with open_results(directory) as tree:
            chosen = tree.attrs.get("posterior_of")
    named = [run for run in runs if run.name == chosen]
    return named[0] if named else runs[0]


def _what_it_is(directory: Path) -> str:
    """Of a pool or a fit, for which there may be no golden rewards to run with: what it is, and what serves there."""
    pool, tell, what, labels = directory, "", "a pool", "the labels beside it"
    if is_fit(directory):
        place, file = origin_of(directory)
        pool, what, labels = place or Path("POOL"), "what bayesrm fit wrote", f"those of {directory / LABELS_FILE}"
        tell = "" if file is None else f", and `bayesrm campaign tell CAMPAIGN {file}` adds those of the file"
    return (
        f"it is {what}: `bayesrm campaign init CAMPAIGN --pool {pool}` makes a campaign that counts the labels of the "
        f"pool{tell}, and this command takes it; in Python, brm.diagnose and brm.compare take what brm.fit makes of "
        f"{labels}"
    )


def _refitted(
    folder: Path, tree: xr.DataTree, configuration: dict[str, Any], pool: ResponsePool
) -> RewardPosterior:
    """The posterior of the run, fitted again from its labels."""
    require_pool_of_run(configuration, pool)
    labels = Preferences.none()
    for record in read_records(folder)[: tree["trajectory"].sizes["round"]]:
        labels = labels.append(record.labels)
    model = model_of_run(configuration["model"], pool)
    posterior = fit(model, pool, labels, inference_of_run(configuration), rng.child(configuration["seed"], "fit"))
    if "approximation" in tree.children:
        recorded = tree["approximation"].to_dataset()["location"].values
        again = posterior.to_datatree(1)["approximation"].to_dataset()["location"].values
        if recorded.shape != again.shape or np.linalg.norm(again - recorded) > SAME_POSTERIOR * np.linalg.norm(
            again
        ):
            raise InvalidInputError(
                f"the posterior fitted again from the labels in {folder} is not the one that it holds: "
                "is this the pool of the run?"
            )
    return posterior


def require_pool_of_run(configuration: dict[str, Any], pool: ResponsePool) -> None:
    """InvalidInputError where this cannot be the pool of the run."""
    there = configuration["pool"]
    if (there["responses"], there["dimension"]) != (len(pool), pool.dim):
        raise InvalidInputError(
            f"expected the pool of the run, {there['responses']} responses of dimension {there['dimension']}, "
            f"got {len(pool)} of dimension {pool.dim}"
        )


def model_of_run(described: dict[str, Any], pool: ResponsePool) -> RewardModel:
    """The model that ``RewardModel.describe`` described, for the pool of the run."""
    likelihood: dict[str, Any] = described["likelihood"] if isinstance(described.get("likelihood"), dict) else {}
    as_described = {
        "likelihood": isinstance(likelihood.get("name"), str),
        "dim": isinstance(described.get("dim"), int),
        "hidden": isinstance(described.get("hidden") or [], list),
        "covariates": isinstance(described.get("covariates") or [], list),
    }
    wrong = [name for name, fine in as_described.items() if not fine]
    if wrong:
        raise InvalidInputError(
            f"expected the model of a run as its folder describes it, and its {wrong[0]} is missing or damaged there: "
            "put back the file, or run it again into another folder"
        )
    for part, kept in (
        ("an encoder", "encoder_sha256" not in described),
        ("a likelihood", likelihood["name"] in LIKELIHOODS),
    ):
        if not kept:
            raise InvalidInputError(
                f"the run has {part} of its own, which its folder does not hold: call brm.diagnose(posterior) "
                "where it is"
            )
    # Folders of a time before these settings do not have them.
    settings = {"prompt_intercept": False} | {
        name: described[name] for name in ModelSettings.model_fields if described.get(name) is not None
    }
    # Those that the run had, whatever the pool has by now.
    settings["covariates"] = tuple(described.get("covariates") or ())
    settings |= {"hidden": tuple(described.get("hidden") or ()), "likelihood": make_likelihood(likelihood)}
    knows_pool = settings["covariates"] or "input_blocks" in described
    return RewardModel(pool if knows_pool else described["dim"], **settings)


def inference_of_run(configuration: dict[str, Any]) -> Inference:
    """The inference of a run, with the settings that it had."""
    form: type[Inference] = INFERENCES[configuration["inference"]]
    described = configuration.get("inference_settings")
    settings = described if isinstance(described, dict) else {}
    return form(**{name: settings[name] for name in signature(form).parameters if name in settings})


def _refit_with(inference: str, posterior: RewardPosterior, seed: int) -> RewardPosterior:
    """Another inference on the same labels, features and prior scale."""
    model = frozen(posterior.model, posterior.pool, posterior.preferences)
    return fit(model, posterior.pool, posterior.preferences, inference, rng.child(seed, "reference"))
