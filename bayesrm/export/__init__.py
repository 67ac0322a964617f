"""Reward models for others: saved with their uncertainty, loaded without the campaign that they come from."""

from __future__ import annotations

from bayesrm.export.loaded import LoadedRewardModel, load_reward_model
from bayesrm.export.save import save_reward_model

__all__ = ["LoadedRewardModel", "load_reward_model", "save_reward_model"]
