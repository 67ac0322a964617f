"""Reward models: an encoder, a prior on the last layer, a likelihood, in Pyro."""
