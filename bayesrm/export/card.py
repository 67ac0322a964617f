"""The model card: what a person who finds the folder should know, as the README that model hubs show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2

from bayesrm.models.likelihoods import LIKELIHOODS

KINDS = {
    "gaussian": "a Gaussian over the weights of the last layer",
    "draws": "draws of the weights of the last layer",
    "networks": "draws of whole networks",
    "point": "a point estimate, without spread: every sd is 0",
}

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def write_card(path: Path, name: str, described: dict[str, Any]) -> None:
    """Write the card of a reward model with this configuration."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bayesrm.export"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    model = (described["embedding"] or {}).get("model", "")
    likelihood = described["likelihood"]["settings"]["name"]
    text = environment.get_template("reward_model_card.md.j2").render(
        name=name,
        described=described,
        kind=KINDS[described["kind"]],
        likelihood=likelihood,
        hub_name=model if HUB_NAME.fullmatch(model) and not Path(model).exists() else None,
        known=likelihood in LIKELIHOODS,
        own_encoder=described["encoder"]["body"]["layer"] == "custom",
        transformers=described.get("transformers", {}).get("kind"),
    )
    path.write_text(text, encoding="utf-8")
