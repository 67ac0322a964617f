"""Annotators: comparisons in, preferences out. One a file."""
