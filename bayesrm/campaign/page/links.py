"""The links of a campaign's page: a secret for each annotator and for the owner, in a file that only its user reads."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import read_json, replacing

LINKS_FILE = "page.json"
OWNER = "owner"
"""Who answers where no annotator is named."""


@dataclass
class Links:
    """Who may see what.

    Parameters
    ----------
    owner
        The secret of the read-only view.
    annotators
        Name → secret.
    port
        Where the page was served last; 0 where it never was.
    """

    owner: str
    annotators: dict[str, str] = field(default_factory=dict)
    port: int = 0

    @classmethod
    def of(cls, directory: Path, people: Sequence[str], renew: bool = False) -> Links:
        """The links of a campaign for these annotators; each keeps the one that they had unless all are renewed."""
        for name in people:
            if not name.strip() or len(name) > 200:
                raise InvalidInputError(f"expected an annotator's name of 1 to 200 characters, got {name[:60]!r}")
        kept = None if renew else _read(directory / LINKS_FILE)
        before = kept.annotators if kept else {}
        made = cls(
            kept.owner if kept else _secret(),
            {name: before.get(name) or _secret() for name in dict.fromkeys(people)},
            kept.port if kept else 0,
        )
        made.write(directory, before)
        return made

    def write(self, directory: Path, others: dict[str, str] | None = None) -> None:
        """Keep them; ``others`` are annotators who are not asked this time, and whose links are to open again later."""
        path = directory / LINKS_FILE
        if others is None:
            there = _read(path)
            others = there.annotators if there else {}
        value = {"owner": self.owner, "annotators": {**others, **self.annotators}, "port": self.port}
        with replacing(path) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False)

    def annotator(self, secret: str) -> str | None:
        """The annotator with this secret; all secrets are compared, so that the time taken reveals nothing."""
        found = [name for name, own in self.annotators.items() if _same(own, secret)]
        return found[0] if found else None

    def is_owner(self, secret: str) -> bool:
        """Whether it is the owner's."""
        return _same(self.owner, secret)


def _secret() -> str:
    return secrets.token_urlsafe(24)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _read(path: Path) -> Links | None:
    if not path.exists():
        return None
    value = read_json(path)
    try:
        return Links(value["owner"], dict(value["annotators"]), int(value["port"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{path} is damaged: remove it, and the links are made anew") from error
