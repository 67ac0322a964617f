"""Posteriors: what every inference returns and every design reads."""
