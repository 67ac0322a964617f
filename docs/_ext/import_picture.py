"""A picture of which room of bayesrm imports which, from the import statements themselves, drawn with networkx."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import networkx as nx
from sphinx.application import Sphinx

import bayesrm

PACKAGE = Path(bayesrm.__file__).parent
FOUNDATION = {"types", "errors", "registry", "rng", "utils"}
"""What nearly every room imports: drawn as one, without arrows."""
SHIFT = (-0.18, 0.18)
"""Neighbouring layers stand beside each other, so that arrows do not run through boxes."""


def rooms() -> nx.DiGraph:
    """An edge from each room to those that it imports, with the number of modules that do."""
    graph: nx.DiGraph = nx.DiGraph()
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).with_suffix("").parts[0]
        if room.startswith("__"):
            continue
        graph.add_node(room)
        for other in _imported(ast.parse(file.read_text(encoding="utf-8"))) - {room}:
            count = graph.edges[room, other]["modules"] + 1 if graph.has_edge(room, other) else 1
            graph.add_edge(room, other, modules=count)
    return graph


def _imported(tree: ast.Module) -> set[str]:
    """Rooms that a module imports when it runs, anywhere in it."""
    found: set[str] = set()
    for node in _running(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("bayesrm.")}
    return {room for room in found if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()}


def _running(node: ast.AST) -> Any:
    """Nodes outside of ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield child
            yield from _running(child)


def draw(path: Path) -> None:
    """The rooms from what is imported first, at the bottom, to the command line."""
    graph = rooms()
    graph.remove_nodes_from(FOUNDATION & set(graph))
    graph = nx.transitive_reduction(graph)
    position = {}
    for height, layer in enumerate(nx.topological_generations(graph.reverse())):
        names = sorted(layer)
        position |= {
            name: (at - (len(names) - 1) / 2 + SHIFT[height % 2], height) for at, name in enumerate(names)
        }
    figure = plt.figure(figsize=(7.2, 0.8 * (2 + max(y for _, y in position.values()))), dpi=72)  # of an SVG
    axis = figure.add_axes((0, 0, 1, 1))
    box = {"boxstyle": "round,pad=0.35", "facecolor": "#eef3f8", "edgecolor": "#4c72b0"}
    labels = nx.draw_networkx_labels(graph, position, ax=axis, font_size=9, bbox=box, clip_on=False)
    arrow = {"arrowstyle": "-|>", "color": "0.6", "connectionstyle": "arc3,rad=0.08", "shrinkA": 0, "shrinkB": 1}
    axis.set_xlim(min(x for x, _ in position.values()) - 0.4, max(x for x, _ in position.values()) + 0.4)
    axis.set_ylim(-1.4, max(y for _, y in position.values()) + 0.4)
    figure.canvas.draw()  # so that it is known where boxes end
    for room, other in graph.edges:  # from edge to edge of the boxes: a head under a box is not seen
        ends = {"patchA": labels[room].get_bbox_patch(), "patchB": labels[other].get_bbox_patch()}
        axis.annotate("", position[other], xytext=position[room], arrowprops=arrow | ends, zorder=1)
    foundation = "errors · registry · rng · types · utils"
    axis.text(0, -0.95, foundation, ha="center", va="center", fontsize=9, bbox=box | {"facecolor": "#f4f4f4"})
    axis.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def setup(app: Sphinx) -> dict[str, Any]:
    """Draw before pages are read."""
    app.connect("builder-inited", lambda app: draw(Path(app.srcdir) / "generated" / "imports.svg"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
