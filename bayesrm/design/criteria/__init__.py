"""Criteria, one a file: what a batch is worth under a posterior.

A new criterion is a new file here with a :class:`~bayesrm.design.base.Criterion` that has a ``name``; it is then found
by that name everywhere, and tested with every selector on every pool at the edge. Most are a few lines:

- a score of single pairs is a ``SumObjective`` (``maxdiff.py`` is the shortest, ``bald.py`` needs a posterior);
- information about the parameters is an ``InformationObjective``, ½ log det(I + Σ w v vᵀ) (``dopt.py``);
- less variance of some target predictions is a ``LinearObjective`` (``vopt.py``), less of any concave loss of these
  variances a ``TargetObjective`` (``epig.py``).

Anything else is an :class:`~bayesrm.design.objectives.base.Objective` of its own (``cold_start.py``): what a pair
adds to a growing batch, and a slope that bounds what all others could add.

A criterion with settings is made here and given to ``select``, ``run`` or ``Live``:

>>> from bayesrm.design.criteria import BatchBALD
>>> BatchBALD(draws=500).draws
500
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from bayesrm.design import CRITERIA

    return CRITERIA.exported(name)
