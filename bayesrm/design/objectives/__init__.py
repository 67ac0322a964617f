"""What batches are worth, as functions with marginal gains: what criteria are made of."""
