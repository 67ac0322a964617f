"""What a study's script measures by, as a digest: another one says that what was measured has to be measured again.

Only what ``measure`` refers to counts, directly or through what that refers to; the script's ``answer``, ``figures``
and ``tables`` can be worked on without measuring anything again. Comments and line breaks do not count. Modules that
the script imports are not looked into, but for the one that has ``measure`` itself.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any


def measure_digest(script: Path, measure: Callable[..., Any]) -> str:
    """SHA-256, in hexadecimal.

    Parameters
    ----------
    script
        The file.
    measure
        Its function of that name, which may be imported from another file.
    """
    parts = [_code_behind("measure", script.read_bytes())]
    function = inspect.unwrap(measure)
    file = Path(inspect.getfile(function)) if inspect.isfunction(function) else script
    if file.resolve() != script.resolve():
        parts.append(file.read_text(encoding="utf-8"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@lru_cache(maxsize=4)
def _code_behind(name: str, source: bytes) -> str:
    return "\n".join(ast.unparse(statement) for statement in _behind(name, ast.parse(source).body))


def _behind(name: str, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements that a name depends on, and all that may change more than the names that they define."""
    defined = [_defines(statement) for statement in statements]
    kept = {k for k, names in enumerate(defined) if not names and not _is_text(statements[k])}
    needed = {name}.union(*(_names(statements[k]) for k in kept))
    while found := {k for k, names in enumerate(defined) if names & needed} - kept:
        kept |= found
        needed = needed.union(*(_names(statements[k]) for k in found))
    return [statements[k] for k in sorted(kept)]


def _defines(statement: ast.stmt) -> set[str]:
    """The names that a statement defines and does nothing else; none where it may do more."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return set() if statement.decorator_list else {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names} - {"*"}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return {
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    return set()


def _names(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _is_text(statement: ast.stmt) -> bool:
    """Whether it is a docstring."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
