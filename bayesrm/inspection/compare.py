"""Models of the same answers against each other: from folders of runs and campaigns, and variants of their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pandas as pd
import xarray as xr

from bayesrm import rng
from bayesrm.campaign import Campaign
from bayesrm.campaign.answers import choose_likelihood
from bayesrm.data import load_pool
from bayesrm.diagnostics import compare
from bayesrm.errors import InvalidInputError
from bayesrm.inference import fit
from bayesrm.inspection.campaigns import is_campaign, open_campaign
from bayesrm.inspection.diagnose import folder_of_run, inference_of_run, model_of_run, refitted_run
from bayesrm.models.reward_model import RewardModel
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.runs.results import configuration_of, load_results, open_results
from bayesrm.runs.settings import ModelSettings

BAD_K = 0.7
"""A Pareto k̂ of a label above which its contribution to elpd is not to be trusted."""

OF_ENCODERS = ("inputs", "spectrum_power", "prior_scale", "encoder_settings")
"""Settings of a model that belong to its encoder."""

Found = RewardPosterior | xr.DataTree


def compare_folders(
    folders: Sequence[Path],
    pool: Path | None = None,
    variants: Mapping[str, Sequence[str]] | None = None,
    draws: int = 1024,
    seed: int = 0,
) -> pd.DataFrame:
    """A row for each model of the same answers, what predicts best first: see ``compare``.

    Parameters
    ----------
    folders
        Of campaigns and finished runs, all of the same answers.
    pool
        Of the runs, whose posteriors are then fitted again; of campaigns, if it was moved.
    variants
        Values of ``encoder``, ``likelihood`` and ``inference``: of each folder every combination is fitted. What has no
        value is as the folder has it.
    draws, seed
        See ``compare``.

    Raises
    ------
    InvalidInputError
        Where there is one model only, or answers differ.
    """
    asked = {name: list(dict.fromkeys(values)) for name, values in (variants or {}).items() if values}
    if len(folders) == 1 and not any(len(values) > 1 for values in asked.values()):
        raise InvalidInputError(
            "expected several models to compare: name several folders, or repeat --encoder, --likelihood or "
            "--inference for one, as in --encoder auto --encoder linear"
        )
    combinations = [dict(zip(asked, values, strict=True)) for values in product(*asked.values())]
    found: dict[str, Found] = {}
    for folder in folders:
        shown = "" if len(folders) == 1 else str(folder)
        for variant, posterior in zip(combinations, _posteriors(folder, pool, combinations), strict=True):
            name = ", ".join(filter(None, (shown, *variant.values())))
            if name in found:
                raise InvalidInputError(f"expected different folders, got {folder} twice")
            found[name] = posterior
    return compare(found, draws, seed)


def sentence(table: pd.DataFrame) -> str:
    """Which model to believe, by leave-one-out and by evidence, and how far."""
    best, second = table.index[0], table.index[1]
    behind, error = -float(table["difference"].iloc[1]), float(table["difference_se"].iloc[1])
    lead = f"{best} predicts answers that are left out best, by {behind:.1f} ± {error:.1f} nats before {second}"
    parts = [lead + (", which may be chance" if behind < 2 * error else "")]
    evidence = table["log_evidence"].dropna()
    if len(evidence) > 1:
        most = str(evidence.idxmax())
        second_best = float(evidence.drop(most).max())
        parts.append(
            f"{'its evidence is the largest too' if most == best else f'the evidence prefers {most}'}, by "
            f"{float(evidence.max()) - second_best:.1f} nats"
        )
    text = "; ".join(parts) + "."
    unsure = [str(name) for name, k in table["worst_k"].items() if k > BAD_K]
    if unsure:
        text += f" Pareto k̂ of some answers is above {BAD_K} for {', '.join(unsure)}: do not trust elpd there."
    return text


def _posteriors(folder: Path, pool: Path | None, variants: Sequence[Mapping[str, str]]) -> list[Found]:
    if is_campaign(folder):
        if variants == [{}]:
            return [open_campaign(folder, pool)[1]]
        campaign = Campaign.open(folder, pool)
        if not len(campaign.preferences()):
            raise InvalidInputError(f"the campaign {folder} has no answers yet: there is nothing to compare")
        return [_campaign_variant(campaign, variant) for variant in variants]
    if variants == [{}]:
        return [_of_run(folder, pool)]
    if pool is None:
        folder_of_run(folder)
        raise InvalidInputError(
            f"expected --pool, the pool of the run {folder}, on which other encoders, likelihoods and inferences are "
            "fitted"
        )
    return [_run_variant(folder, pool, variant) for variant in variants]


def _campaign_variant(campaign: Campaign, variant: Mapping[str, str]) -> RewardPosterior:
    labels = campaign.preferences()
    settings = campaign.configuration.part(ModelSettings) | {
        name: value for name, value in variant.items() if name != "inference"
    }
    if settings.get("likelihood", "auto") == "auto":
        settings["likelihood"] = choose_likelihood(labels).name
    return campaign.fit(RewardModel(campaign.pool, **settings), variant.get("inference"), labels)


def _of_run(folder: Path, pool: Path | None) -> Found:
    """The run's posterior: as its file has it where that has log-likelihoods, else fitted again."""
    if pool is not None:
        return refitted_run(folder, load_pool(pool))
    run = folder_of_run(folder)
    tree = load_results(run)
    if "log_likelihood" not in tree.children:
        raise InvalidInputError(
            f"expected log-likelihoods in the results of {run}, and there are none: give --pool, with which its "
            "posterior is fitted again, or run with --log-likelihood"
        )
    return tree


def _run_variant(folder: Path, pool: Path, variant: Mapping[str, str]) -> RewardPosterior:
    responses = load_pool(pool)
    known = refitted_run(folder, responses)
    with open_results(folder_of_run(folder)) as tree:
        configuration = configuration_of(tree)
    described = dict(configuration["model"])
    if "encoder" in variant:
        # What goes with another encoder is its own.
        described = {name: value for name, value in described.items() if name not in OF_ENCODERS}
        described |= {"encoder": variant["encoder"], "hidden": configuration["model"].get("hidden")}
    if "likelihood" in variant:
        described["likelihood"] = {"name": variant["likelihood"]}
    inference = variant.get("inference") or inference_of_run(configuration)
    model = model_of_run(described, responses)
    return fit(model, responses, known.preferences, inference, rng.child(configuration["seed"], "fit"))


def shown(table: pd.DataFrame) -> list[list[str]]:
    """Rows of the table as text: name, log evidence, elpd, difference, parameters, weight, worst k̂."""
    rows = []
    for name, row in table.iterrows():
        evidence = "–" if pd.isna(row["log_evidence"]) else f"{row['log_evidence']:.1f}"
        rows.append(
            [
                str(name),
                evidence,
                f"{row['elpd_loo']:.1f} ± {row['se']:.1f}",
                f"{row['difference']:.1f} ± {row['difference_se']:.1f}",
                f"{row['p_loo']:.1f}",
                f"{row['weight']:.2f}",
                f"{row['worst_k']:.2f}",
            ]
        )
    return rows
