"""What metrics are called, which direction is better, and which design others are compared with."""

from __future__ import annotations

BASELINE = "random"
"""The design that others are compared with."""

NEEDS_NO_LABEL = "baseline_"
"""What a run calls 1 − Spearman of a ranking that needs no label, such as ``baseline_log_characters``."""
LENGTH_SHARE = "length_share"
"""What a run calls the part of the variance of rewards within prompts that length accounts for."""
HEADROOM = "headroom"
"""What a run calls the least share of random's labels that an unbiased design could need after its last round."""

METRIC_NAMES = {
    "one_minus_spearman": ("1 − Spearman within prompts", "lower"),
    "one_minus_spearman_given_length": ("1 − Spearman within prompts, length held fixed", "lower"),
    "best_of_n": ("golden reward of the best of N", "higher"),
    "pairwise_accuracy": ("pairwise accuracy", "higher"),
    "log_loss": ("log loss, nats", "lower"),
    "brier": ("Brier score", "lower"),
    "ece": ("expected calibration error", "lower"),
    "vote_log_loss": ("log loss of held-out votes, nats", "lower"),
    "vote_accuracy": ("accuracy of held-out votes", "higher"),
}
"""Metric → its name in full and which direction is better."""
