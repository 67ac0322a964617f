"""Criteria, one a file: what a batch is worth under a posterior.

A new criterion is a new file here with a :class:`~bayesrm.design.base.Criterion` that has a ``name``.
"""
