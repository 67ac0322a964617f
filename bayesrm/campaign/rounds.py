"""One round of a campaign: fit all answers, look at the posterior, and keep both."""

from __future__ import annotations

from bayesrm.campaign.campaign import Campaign
from bayesrm.campaign.findings import Findings, find
from bayesrm.campaign.fitting import labels_digest
from bayesrm.errors import InvalidInputError
from bayesrm.runs.results import write_results
from bayesrm.runs.settings import DrawSettings
from bayesrm.utils.files import write_json
from bayesrm.utils.versions import versions

POSTERIOR_FILE, CARD_FILE = "posterior.nc", "card.json"


def fit_round(campaign: Campaign) -> Findings:
    """Fit, write the posterior as netCDF and a card of what was found, and keep the findings as a round.

    Raises
    ------
    InvalidInputError
        Where there is no answer yet.
    """
    labels = campaign.preferences()
    if len(labels) == 0:
        raise InvalidInputError(
            f"expected answers in {campaign.directory}, and there are none yet: ask, and tell what comes back"
        )
    posterior = campaign.fit(labels=labels)
    findings = find(campaign, posterior)
    tree = posterior.to_datatree(**campaign.configuration.part(DrawSettings))
    write_results(tree, campaign.directory / POSTERIOR_FILE)
    card = {
        **findings.as_json(),
        "sentence": findings.forecast.sentence(),
        "model": posterior.model.describe(),
        "inference": posterior.inference,
        "versions": versions(),
    }
    write_json(campaign.directory / CARD_FILE, card)
    digest = labels_digest(labels)
    rounds = campaign.store.rounds()
    if not rounds or rounds[-1]["labels_digest"] != digest:
        campaign.store.add_round(digest, {"findings": findings.as_json()})
    return findings
