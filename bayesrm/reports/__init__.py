"""Self-contained HTML pages of runs, diagnoses and studies."""
