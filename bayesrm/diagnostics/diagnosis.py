"""Every check that applies to a posterior, and their verdicts in words, the worst first."""

from __future__ import annotations

import json
from dataclasses import dataclass

import xarray as xr
from numpy.typing import ArrayLike

from bayesrm import rng
from bayesrm.diagnostics.checks import CHECKS, Subject
from bayesrm.diagnostics.draws import label
from bayesrm.diagnostics.finding import ORDER, Finding
from bayesrm.diagnostics.sbc import simulate_calibration
from bayesrm.errors import InvalidInputError
from bayesrm.inference import INFERENCES
from bayesrm.inference.base import Inference
from bayesrm.posteriors.base import RewardPosterior
from bayesrm.posteriors.datatree import provenance
from bayesrm.types import Preferences, ResponsePool
from bayesrm.utils.checked import Count, Natural, Positive, Seed, checked
from bayesrm.utils.wording import counted

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
            return against[0] + (f" {more} more of {counted(checked, 'check')} {verb} against it." if more else "")
        return f"None of {counted(checked, 'check')} speaks against the {self.name} posterior."

    def __repr__(self) -> str:
        lines = [f"{MARKS[finding.status]} {finding.sentence}" for finding in self.findings]
        against = sum(finding.status == "bad" for finding in self.findings)
        checked = sum(finding.status != "skipped" for finding in self.findings)
        title = f"Diagnosis of the {self.name} posterior: {against or 'none'} of {counted(checked, 'check')} against it"
        return "\n".join([title, *lines])


@checked
def diagnose(
    posterior: RewardPosterior | xr.DataTree,
    test: tuple[ResponsePool, ArrayLike] | None = None,
    temperature: Positive = 1.0,
    held_out: Preferences | None = None,
    reference: RewardPosterior | xr.DataTree | None = None,
    inference: str | Inference | None = None,
    sbc: Natural = 0,
    history: xr.Dataset | None = None,
    draws: Count = 1024,
    seed: Seed = 0,
    workers: Count = 1,
) -> Diagnosis:
    """How far to trust a posterior: every check that applies, with a verdict in words.

    ``bayesrm checks`` lists the checks, and what those need that hold the posterior against something.

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
    history : Dataset, optional
        The learning curve of the posterior's labels, as :func:`bayesrm.diagnostics.history.own_history` makes it: adds
        that curve, and without ``test`` and ``held_out`` calibration against its held-out answers.
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
        tree.attrs["inference"] = (INFERENCES[inference] if isinstance(inference, str) else inference).name
    simulated: xr.DataTree | None = None
    if not isinstance(posterior, RewardPosterior):
        if test is not None or held_out is not None or sbc:
            raise InvalidInputError(
                "expected a posterior, as fit returns it, to hold against a test pool, held-out preferences or "
                "simulation, and got only its tree"
            )
    elif sbc:
        simulated = _simulate(posterior, inference, sbc, seed, workers)
    subject = Subject(
        tree,
        posterior if isinstance(posterior, RewardPosterior) else None,
        test,
        temperature,
        held_out,
        reference.to_datatree(draws, seed) if isinstance(reference, RewardPosterior) else reference,
        simulated,
        history,
        draws,
        seed,
    )
    checks = sorted(CHECKS.values(), key=lambda check: (check.order, check.name))
    findings = [finding for check in checks if (finding := check().run(subject)) is not None]
    findings.sort(key=lambda finding: ORDER.index(finding.status))
    return Diagnosis(label(tree), tuple(findings), _as_tree(label(tree), findings, simulated))


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
