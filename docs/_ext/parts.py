"""Pages that follow from the registries: every part of a kind with its docstrings, so that new parts appear in them.

Also resolves references of docstrings: to a public name where there is one, to nothing where a name exists but has no
page. A name that does not exist is a warning, which stops the build.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import bayesrm as brm

KINDS = {
    "criteria": ("Criteria", "bayesrm.design", "CRITERIA"),
    "selectors": ("Selectors", "bayesrm.design", "SELECTORS"),
    "likelihoods": ("Likelihoods", "bayesrm.models.likelihoods", "LIKELIHOODS"),
    "inferences": ("Inferences", "bayesrm.inference", "INFERENCES"),
    "encoders": ("Encoders", "bayesrm.models.encoders", "ENCODERS"),
    "checks": ("Diagnostic checks", "bayesrm.diagnostics.checks", "CHECKS"),
}
"""Page → title, and where its registry is."""


def registry(module: str, name: str) -> Mapping[str, type]:
    """A registry by its address."""
    return getattr(importlib.import_module(module), name)


def first_line(part: type) -> str:
    """What a part is, in a line."""
    return (inspect.getdoc(part) or "").splitlines()[0]


def write_if_changed(path: Path, text: str) -> None:
    """Leave a file alone that has this text, so that an incremental build does not read it again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _catalogue(page: str, title: str, parts: Mapping[str, type]) -> str:
    """A page in reStructuredText: a table, then each part with the docstrings of its module and class."""
    lines = [title, "=" * len(title), "", ".. list-table::", "   :widths: 25 75", ""]
    for name, part in parts.items():
        lines += [f"   * - `{name} <#{_anchor(page, name)}>`__", f"     - {_without_bars(first_line(part))}"]
    lines.append("")
    for name, part in parts.items():
        lines += [f".. _{_anchor(page, name)}:", "", name, "-" * len(name), ""]
        lines += [f".. autoclass:: {part.__module__}.{part.__qualname__}", "   :no-members:", ""]
        lines += _module_docstring(part)
    return "\n".join(lines)


def _anchor(page: str, name: str) -> str:
    """The id that docutils gives to this target; parts of two kinds may have the same name."""
    return nodes.make_id(f"{page}-{name}")


def _module_docstring(part: type) -> list[str]:
    """What stands at the top of the file: formula and source. What is indented stays as it is, as a formula."""
    text = inspect.getdoc(importlib.import_module(part.__module__)) or ""
    lines: list[str] = []
    formula = False
    for paragraph in text.split("\n\n"):
        indent = len(paragraph) - len(paragraph.lstrip(" "))
        before, formula = formula, indent >= 4
        if formula and not before:
            lines += [" " * (indent - 4) + "::", ""]
        lines += (paragraph if formula else _without_bars(paragraph)).splitlines()
        lines.append("")
    return lines


def _without_bars(text: str) -> str:
    """Absolute values, which reStructuredText would take for substitutions; what stands in backquotes stays."""
    quoted = text.split("``")
    return "``".join(part if at % 2 else part.replace("|", r"\|") for at, part in enumerate(quoted))


def write_catalogues(app: Sphinx) -> None:
    """One page for each kind of part."""
    for page, (title, module, name) in KINDS.items():
        text = _catalogue(page, title, registry(module, name))
        write_if_changed(Path(app.srcdir) / "generated" / f"{page}.rst", text)


def write_samples(app: Sphinx) -> None:
    """What each hand-off writes for one question, and a row of each file format."""
    from bayesrm.campaign.handoff import HANDOFFS
    from bayesrm.data.formats import FORMATS

    generated = Path(app.srcdir) / "generated"
    write_if_changed(generated / "handoffs.md", "\n".join(_handoff(*part) for part in HANDOFFS.items()))
    write_if_changed(generated / "formats.md", "\n".join(_format(*part) for part in FORMATS.items()))


def _handoff(name: str, part: type) -> str:
    from bayesrm.campaign.handoff.base import Sheet
    from bayesrm.campaign.records import Question

    example = Question("mine1-0001", 1, 0, 1, True, 1, ())
    sheet = Sheet(example, "How do I keep basil fresh?", "Stand it in water.", "Put it in the fridge.", "")
    blocks = [f"## `{name}`", "", inspect.cleandoc(part.__doc__ or ""), ""]
    with tempfile.TemporaryDirectory() as folder:
        for path in part().write([sheet], Path(folder) / "batch-001"):
            text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
            blocks += [f"`{path.name}`:", "", f"```{_language(path)}", text.strip(), "```", ""]
    return "\n".join(blocks)


def _language(path: Path) -> str:
    return {".json": "json", ".xml": "xml"}.get(path.suffix, "text")


def _format(name: str, part: Any) -> str:
    blocks = [f"## `{name}`", "", inspect.cleandoc(part.__doc__ or "").split("\nExamples\n")[0], ""]
    blocks += [f"Columns: {part.columns}.", ""]
    for row in getattr(part, "example", ()):
        blocks += ["```json", json.dumps(row, ensure_ascii=False, indent=2), "```", ""]
    return "\n".join(blocks)


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """A reference of a docstring to a name that has no page of its own."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    public = target.rsplit(".", 1)[-1] if target.startswith("bayesrm") else target
    if public in brm.__all__ and target != f"bayesrm.{public}":
        domain = env.get_domain("py")
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"bayesrm.{public}", node, content)
    if _exists(target) or any(_exists(f"{scope}.{target}") for scope in _scopes(node)):
        return content
    return content if "." not in target and node.get("reftype") != "meth" and _defined_somewhere(target) else None


def _defined_somewhere(name: str) -> bool:
    """Docstrings of public names, which pages show without their module, refer to what stands beside them."""
    return any(hasattr(module, name) for key, module in sys.modules.items() if key.startswith("bayesrm."))


def _scopes(node: pending_xref) -> list[str]:
    module, owner = node.get("py:module"), node.get("py:class")
    return [scope for scope in (f"{module}.{owner}", module) if module and "None" not in scope]


def _exists(target: str) -> bool:
    parts = target.split(".")
    if parts[0] != "bayesrm":
        return False
    for depth in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:depth]))
        except ImportError:
            continue
        for name in parts[depth:]:
            if not hasattr(found, name) and name not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, name, None)
        return True
    return False


def setup(app: Sphinx) -> dict[str, Any]:
    """Write pages before files are looked for."""
    app.connect("builder-inited", write_catalogues)
    app.connect("builder-inited", write_samples)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
