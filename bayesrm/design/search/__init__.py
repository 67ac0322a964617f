"""Searching candidates for the best pairs: exact, constrained, and with a shortlist."""
