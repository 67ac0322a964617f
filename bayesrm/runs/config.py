"""A whole run on pools that lie in files: what a worker process needs to carry one out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from bayesrm.runs.settings import AnnotatorSettings, LoopSettings, ModelSettings
from bayesrm.utils.settings import Settings, setting


class RunConfig(AnnotatorSettings, ModelSettings, LoopSettings):
    """One run: its pools, and all settings of its loop, its model and its simulated annotators.

    ``bayesrm run`` and the TOML files of studies fill it, :class:`~bayesrm.runs.cell.Cell` carries it out.
    """

    heading: ClassVar[str] = Settings.heading

    pool: Path
    test: Path | None = setting(
        None, "Test pool with golden rewards, for the metrics.", recorded="never", compared=False
    )

    @property
    def folder(self) -> str:
        """A name for the run's folder that tells it from its neighbours."""
        parts = [self.scope, self.inference or "default", self.design or "default"]
        return "-".join(map(str, [*parts, *([self.selector] if self.selector else []), f"seed{self.seed}"]))

    def files(self) -> dict[str, Path]:
        """The settings that are files or folders: name → path."""
        paths = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: path for name, path in paths.items() if isinstance(path, Path)}

    def absolute(self) -> RunConfig:
        """The same with paths that a process in another folder finds too."""
        return self.model_copy(update={name: path.absolute() for name, path in self.files().items()})

    def plain(self) -> dict[str, Any]:
        """As plain values, from which ``RunConfig(**plain)`` makes it again."""
        return self.model_dump(mode="json")
