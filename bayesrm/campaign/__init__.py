"""Labelling campaigns: ask people which of two responses is better, take their answers, fit, look, ask again."""

from __future__ import annotations

from bayesrm.campaign.campaign import Campaign

__all__ = ["Campaign"]
