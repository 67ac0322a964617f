"""The model card: what a person who finds the folder should know, as the README that model hubs show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jinja2

from bayesrm.export.architecture import needs_own_module
from bayesrm.export.files import counted_labels
from bayesrm.models.likelihoods import LIKELIHOODS
from bayesrm.utils.terminal import printable

KINDS = {
    "gaussian": "a Gaussian over the weights of the last layer",
    "draws": "draws of the weights of the last layer",
    "networks": "draws of whole networks",
    "point": "a point estimate, without spread: every sd is 0",
}

MARKUP = re.compile(r"[\\`*\[\]#|~!]")
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def write_card(path: Path, name: str, described: dict[str, Any]) -> None:
    """Write the card of a reward model with this configuration."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bayesrm.export"),
        undefined=jinja2.StrictUndefined,
        finalize=_on_one_line,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= {"plain": _plain, "quoted": _quoted}
    model = (described["embedding"] or {}).get("model", "")
    likelihood = described["likelihood"]["settings"]["name"]
    text = environment.get_template("reward_model_card.md.j2").render(
        name=name,
        described=described,
        kind=KINDS[described["kind"]],
        likelihood=likelihood,
        hub_name=model if HUB_NAME.fullmatch(model) and not Path(model).exists() else None,
        learnt_from=counted_labels(described["labels"], "comparison"),
        known=likelihood in LIKELIHOODS,
        own_encoder=needs_own_module(described["encoder"]),
        transformers=described.get("transformers", {}).get("kind"),
    )
    path.write_text(text, encoding="utf-8")


def _on_one_line(value: Any) -> Any:
    """Whatever is put into the card stays where it is put: it begins no line, and no block of its own."""
    return printable(value).replace("\n", "\\n") if isinstance(value, str) else value


def _plain(text: str) -> str:
    """A text that Markdown and HTML show as it is, also in a cell of a table."""
    return MARKUP.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")


def _quoted(text: str) -> str:
    """A text as Python has it in its code."""
    return json.dumps(_on_one_line(text), ensure_ascii=False)
