"""Studies: a grid of runs declared in a TOML file, and the script beside it that says what follows from them."""

from __future__ import annotations

from bayesrm.runs.cell import Cell
from bayesrm.study.declaration import Study, load_study, studies
from bayesrm.study.pools import study_pools
from bayesrm.study.results import StudyResults
from bayesrm.study.running import open_study, run_study

__all__ = ["Cell", "Study", "StudyResults", "load_study", "open_study", "run_study", "studies", "study_pools"]
