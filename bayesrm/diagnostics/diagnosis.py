"""Every check that applies to a posterior, and their verdicts in words, the worst first."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from bayesrm import rng
from bayesrm.diagnostics.convergence import convergence
from bayesrm.diagnostics.coverage import coverage, coverage_verdict, golden_pit
from bayesrm.diagnostics.distance import distance
from bayesrm.diagnostics.draws import label, quantities
from bayesrm.diagnostics.feature_rank import feature_rank
from bayesrm.diagnostics.finding import ORDER, Finding
from bayesrm.diagnostics.importance import pareto_k
from bayesrm.diagnostics.reliability import reliability, reliability_verdict
from bayesrm.diagnostics.sbc import calibration_verdict, simulate_calibration
from bayesrm.diagnostics.sensitivity import sensitivity
from bayesrm.errors import InvalidInputError
from bayesrm.evaluation.metrics import predict
from bayesrm.inference.base import Inference
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.datatree import provenance
from bayesrm.posteriors.last_layer import LastLayerPosterior
from bayesrm.types import Preferences, ResponsePool, require_within

MARKS = {"bad": "✗", "note": "!", "good": "✓", "skipped": "–"}


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What all checks say of one posterior.

    Parameters
    ----------
    name : str
        Of the inference.
    findings : tuple of Finding
        One a check, what speaks against the posterior first.
    tree : DataTree
        The numbers: a group a check, with its sentence in the attribute ``verdict``; after simulation also
        ``prior_sbc``, which ArviZ's ``plot_ecdf_pit`` reads.
    """

    name: str
    findings: tuple[Finding, ...]
    tree: xr.DataTree

    @property
    def verdicts(self) -> list[str]:
        """One sentence a check, the worst first."""
        return [finding.sentence for finding in self.findings]

    @property
    def headline(self) -> str:
        """The verdict in one sentence or two: what speaks against the posterior, or that nothing does."""
        against = [finding.sentence for finding in self.findings if finding.status == "bad"]
        checked = sum(finding.status != "skipped" for finding in self.findings)
        if against:
            more = len(against) - 1
            verb = "speaks" if more == 1 else "speak"
            return against[0] + (f" {more} more of {checked} checks {verb} against it." if more else "")
        return f"None of {checked} checks speaks against the {self.name} posterior."

    def __repr__(self) -> str:
        lines = [f"{MARKS[finding.status]} {finding.sentence}" for finding in self.findings]
        against = sum(finding.status == "bad" for finding in self.findings)
        checked = sum(finding.status != "skipped" for finding in self.findings)
        title = f"Diagnosis of the {self.name} posterior: {against or 'none'} of {checked} checks against it"
        return "\n".join([title, *lines])


def diagnose(
    posterior: RewardPosterior | xr.DataTree,
    test: tuple[ResponsePool, ArrayLike] | None = None,
    temperature: float = 1.0,
    held_out: Preferences | None = None,
    reference: RewardPosterior | xr.DataTree | None = None,
    inference: str | Inference | None = None,
    sbc: int = 0,
    draws: int = 1024,
    seed: int = 0,
    workers: int = 1,
) -> Diagnosis:
    """How far to trust a posterior: every check that applies, with a verdict in words.

    Always: Pareto k̂ against the exact density, R̂ and ESS of chains, prior sensitivity, and of a posterior that is
    not only a tree the effective rank of its features. The rest needs something to hold it against.

    Parameters
    ----------
    posterior : RewardPosterior or DataTree
        What ``fit`` returns, or the tree of one.
    test : tuple of (ResponsePool, array_like), optional
    temperature : float, default 1.0
        A test pool with (response,) golden rewards, and the slope of the preference probability that answers were
        given with: adds calibration of probabilities, and coverage of golden logits.
    held_out : Preferences, optional
        Preferences about the posterior's own pool that it was not fitted to: calibration against real answers
        (without ``test``).
    reference : RewardPosterior or DataTree, optional
        A posterior to be believed, such as long NUTS, of the same features: adds the distance to it.
    inference : str or Inference, optional
        What the posterior was fitted with, as for ``fit``: for simulation, and for the sentences.
    sbc : int, default 0
        Number of simulated data sets for simulation-based calibration with ``inference`` at the posterior's features
        and prior scale, and for coverage; 0 for none. A fit each.
    draws : int, default 1024
        Posterior draws where the posterior is not a tree.
    seed : int, default 0
        Root of all random choices.
    workers : int, default 1
        Processes for the simulation.

    Returns
    -------
    Diagnosis
        Prints as one line a check; ``tree`` has the numbers.

    Raises
    ------
    InvalidInputError
        Where what was given does not fit the posterior.

    See Also
    --------
    compare : Models of the same labels against each other.
    evaluate : How good a posterior is on other prompts.

    Examples
    --------
    >>> print(brm.diagnose(posterior))  # doctest: +ELLIPSIS
    Diagnosis of the Laplace posterior: ... checks against it
    ...
    """
    tree = (
        posterior if isinstance(posterior, xr.DataTree) else posterior.to_datatree(draws, rng.child(seed, "draws"))
    )
    if inference is not None:
        tree = tree.copy()
        tree.attrs["inference"] = inference if isinstance(inference, str) else inference.name
    findings = [pareto_k(tree), convergence(tree), sensitivity(tree)]
    if reference is not None:
        other = reference if isinstance(reference, xr.DataTree) else reference.to_datatree(draws, seed)
        findings.append(distance(tree, other, seed))
    simulated: xr.DataTree | None = None
    if isinstance(posterior, RewardPosterior):
        if isinstance(posterior, LastLayerPosterior):
            findings.append(feature_rank(posterior, posterior.pool))
        findings += _against_answers(posterior, label(tree), test, temperature, held_out, draws, seed)
        if sbc:
            simulated = _simulate(posterior, inference, sbc, seed, workers)
            findings += _against_simulation(simulated, label(tree), seed)
    elif test is not None or held_out is not None or sbc:
        raise InvalidInputError(
            "expected a posterior, as fit returns it, to hold against a test pool, held-out preferences or simulation, "
            "and got only its tree"
        )
    findings.sort(key=lambda finding: ORDER.index(finding.status))
    return Diagnosis(label(tree), tuple(findings), _as_tree(label(tree), findings, simulated))


def _against_answers(
    posterior: RewardPosterior,
    name: str,
    test: tuple[ResponsePool, ArrayLike] | None,
    temperature: float,
    held_out: Preferences | None,
    draws: int,
    seed: int,
) -> list[Finding]:
    findings = []
    if test is not None:
        predicted = predict(posterior, *test, temperature)
        data = reliability(
            predicted.probability, predicted.golden_probability, predicted.group[predicted.first], seed
        )
        findings.append(reliability_verdict(data, "pairs of test responses"))
        if "spread" in posterior.provides:
            pit, cluster = golden_pit(posterior, *test, temperature, draws, seed)
            of_what = "of the golden logits of test pairs (prior and features are in this too)"
            findings.append(coverage_verdict("golden_coverage", name, coverage(pit, cluster), of_what))
    elif held_out is not None:
        require_within(held_out, posterior.pool)
        if len(held_out) == 0:
            raise InvalidInputError("expected held-out preferences, and there are none")
        probability = posterior.preference_probability(posterior.pool, held_out.first, held_out.second)
        group = posterior.pool.group[held_out.first]
        data = reliability(probability, held_out.outcome, group, seed)
        findings.append(reliability_verdict(data, "held-out comparisons"))
    return findings


def _simulate(
    posterior: RewardPosterior, inference: str | Inference | None, replications: int, seed: int, workers: int
) -> xr.DataTree:
    if inference is None:
        raise InvalidInputError(
            "expected the inference to simulate with, and there is none: give inference='laplace' or what this was "
            "fitted with"
        )
    return simulate_calibration(
        posterior.model,
        posterior.pool,
        posterior.preferences,
        inference,
        replications,
        seed=rng.child(seed, "sbc"),
        workers=workers,
    )


def _against_simulation(simulated: xr.DataTree, name: str, seed: int) -> list[Finding]:
    pit = quantities(simulated, "prior_sbc").values[0]
    replication = np.repeat(np.arange(len(pit)), pit.shape[1])
    data = coverage(pit.reshape(-1), replication)
    return [
        calibration_verdict(simulated, name, seed),
        coverage_verdict("coverage", name, data, "of the true values in simulated data"),
    ]


def _as_tree(name: str, findings: list[Finding], simulated: xr.DataTree | None) -> xr.DataTree:
    groups = {}
    for finding in findings:
        if finding.data is not None:
            groups[finding.check] = finding.data.assign_attrs(verdict=finding.sentence, status=finding.status)
    if simulated is not None:
        groups["prior_sbc"] = simulated["prior_sbc"].to_dataset()
    tree = xr.DataTree.from_dict(groups)
    lines = [[finding.check, finding.status, finding.sentence] for finding in findings]
    tree.attrs.update(provenance() | {"inference": name, "verdicts": json.dumps(lines, ensure_ascii=False)})
    return tree
