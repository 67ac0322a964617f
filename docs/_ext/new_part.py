"""The directive ``new-part``: the file of a worked example, taken from the docstring of its base class.

The example stands once, where somebody reads it who writes a part; the contributors' page shows it as a file, and
``tests/test_contributing.py`` writes that file and uses it.
"""

from __future__ import annotations

import ast
import doctest
import inspect
from importlib import import_module


def source(base: str) -> str:
    """The file of a new part: imports and definitions of the example in a docstring, without what is done with them.

    Parameters
    ----------
    base
        Dotted name of the base class, such as ``bayesrm.design.base.Criterion``.
    """
    module, _, name = base.rpartition(".")
    text = inspect.getdoc(getattr(import_module(module), name)) or ""
    imports: list[str] = []
    definitions: list[str] = []
    for example in doctest.DocTestParser().get_examples(text):
        (statement,) = ast.parse(example.source).body
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports.append(example.source.rstrip())
        elif isinstance(statement, ast.ClassDef | ast.FunctionDef):
            definitions.append(example.source.rstrip().replace("'''", '"""'))
    return "\n".join(imports) + "\n\n\n" + "\n\n\n".join(definitions) + "\n"


def setup(app):
    """Sphinx asks for the directive."""
    from docutils import nodes
    from docutils.parsers.rst import Directive, directives

    class NewPart(Directive):
        """Shows the file with its name above it."""

        required_arguments = 1
        option_spec = {"file": directives.unchanged_required}  # noqa: RUF012 (docutils reads it from the class)

        def run(self):
            text = source(self.arguments[0])
            block = nodes.literal_block(text, text, language="python")
            caption = nodes.paragraph("", "", nodes.literal(text=self.options["file"]), nodes.Text(":"))
            return [caption, block]

    app.add_directive("new-part", NewPart)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
