"""Simulated campaigns: the loop over rounds, its journal, results and settings, and sweeps of many runs."""
