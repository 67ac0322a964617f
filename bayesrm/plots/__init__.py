"""Figures, a file each for runs, diagnoses and studies; they take datasets, never models."""
