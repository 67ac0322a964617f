"""How figures look: colours that do not depend on the order of what is drawn, and scales that panels share."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes

from bayesrm.evaluation.names import BASELINE

# Okabe & Ito's colours, distinguishable for colour-blind readers too; random, the baseline, is grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#F0E442")
BASELINE_COLOUR = "#7F7F7F"

DESIGN_COLOURS = {
    BASELINE: BASELINE_COLOUR,
    "dopt": "#0072B2",
    "pa-dopt": "#D55E00",
    "entropy": "#009E73",
    "maxdiff": "#CC79A7",
    "xtx": "#E69F00",
    "coreset": "#56B4E9",
    "batchbald": "#8C564B",
    "bald": "#6A3D9A",
    "epig": "#999933",
    "default": "#000000",
    "within-first": "#000000",
}
"""A design looks the same in every figure."""
OTHER_COLOURS = ("#332288", "#117733", "#882255", "#44AA99", "#DDCC77", "#AA4499", "#661100", "#88CCEE", "#F0E442")
"""For designs that have no colour of their own, of which a figure has one or two."""

WIDEST_SHARE = 4.0
"""Panels share a scale unless the range of one is this many times that of another, which would look flat."""


def colours_of(designs: Iterable[str]) -> dict[str, str]:
    """A colour for each design: its own where it has one, else the next of the others, by name.

    Parameters
    ----------
    designs
        Names, in any order: the same names get the same colours.
    """
    names = sorted({str(design) for design in designs})
    others = [name for name in names if name not in DESIGN_COLOURS]
    further = {name: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, name in enumerate(others)}
    return {name: DESIGN_COLOURS.get(name) or further[name] for name in names}


def in_order(designs: Iterable[str]) -> list[str]:
    """Designs as legends list them: by name, and random, which others are held against, last."""
    return sorted(map(str, designs), key=lambda design: (design == BASELINE, design))


def share_scales(axes: np.ndarray) -> list[bool]:
    """Give the panels of each row one vertical scale, unless something would then be flat; which rows have one.

    Parameters
    ----------
    axes
        (row, column) axes with everything drawn; empty ones do not count.
    """
    shared = []
    for row in axes:
        drawn: list[Axes] = [axis for axis in row if axis.has_data()]
        limits = np.array([axis.get_ylim() for axis in drawn])
        spans = limits[:, 1] - limits[:, 0] if len(drawn) else np.ones(1)
        one = bool(spans.max() <= WIDEST_SHARE * spans.min())
        shared.append(one)
        if not one:
            continue
        for place, axis in enumerate(row):
            if len(drawn):
                axis.set_ylim(limits[:, 0].min(), limits[:, 1].max())
            axis.tick_params(labelleft=place == 0)
    return shared
