"""Which pools a study runs on: the quickstart, a user's folder, or the paper's six settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bayesrm.data.paper import paper_settings
from bayesrm.errors import InvalidInputError
from bayesrm.study.declaration import Pools
from bayesrm.utils.checkout import QUICKSTART


def study_pools(
    pool: Sequence[Path] = (), test: Path | None = None, paper_data: Path | None = None
) -> dict[str, tuple[Path, Path | None]]:
    """Pools by label.

    Parameters
    ----------
    pool
        Folders with the pools ``pool`` and ``test`` in them; or a single pool, with ``test``. None at all: the
        quickstart's.
    test
        The test pool.
    paper_data
        A folder with the paper's files, see :func:`bayesrm.data.paper.paper_settings`.

    Raises
    ------
    InvalidInputError
        Where a pool is missing, or both kinds are asked for.
    """
    if paper_data is not None:
        if pool or test is not None:
            raise InvalidInputError("expected either --paper-data or --pool with --test, got both")
        return dict(paper_settings(paper_data))
    if test is not None:
        if len(pool) != 1:
            raise InvalidInputError(f"expected one --pool that --test belongs to, got {len(pool)}")
        return {_label(pool[0]): (_existing(pool[0]), _existing(test))}
    found: dict[str, tuple[Path, Path | None]] = {}
    for folder in pool or [QUICKSTART]:
        _existing(folder)
        if not (folder / "pool").exists() or not (folder / "test").exists():
            raise InvalidInputError(
                f"expected pools named 'pool' and 'test' in {folder}, or its test pool by --test"
            )
        if _label(folder) in found:
            raise InvalidInputError(f"expected pools of different names, got two called {_label(folder)}")
        found[_label(folder)] = folder / "pool", folder / "test"
    return found


def require_pools(pools: Pools) -> None:
    """Every pool that a script says it has made must be there."""
    for pair in pools.values():
        for path in pair:
            if path is not None:
                _existing(path)


def _label(path: Path) -> str:
    return path.resolve().stem if path.is_file() else path.resolve().name


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InvalidInputError(f"there is no pool {path}")
    return path
