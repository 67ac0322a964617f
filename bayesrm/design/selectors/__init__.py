"""Selectors, one a file: how a batch is chosen for a criterion.

A new selector is a new file here with a :class:`~bayesrm.design.base.Selector` that has a ``name``.
"""
