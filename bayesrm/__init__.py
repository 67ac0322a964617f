"""bayesrm: which pairs of responses to ask about, what was learned, how far to trust it.

>>> import bayesrm as brm

Names are imported when first used, so that ``import bayesrm`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesrm.annotators.base import Annotator
    from bayesrm.annotators.golden import GoldenAnnotator
    from bayesrm.annotators.replay import ReplayAnnotator
    from bayesrm.campaign import Campaign
    from bayesrm.data import load_golden, load_pool, save_pool
    from bayesrm.data.votes import Votes
    from bayesrm.design import designs, select
    from bayesrm.design.base import Criterion, Design, Selector
    from bayesrm.design.candidates.forming import candidates
    from bayesrm.design.candidates.sets import CandidateSet
    from bayesrm.design.headroom import headroom
    from bayesrm.design.lists.selection import ListSelection
    from bayesrm.design.live import Live
    from bayesrm.design.selection import Selection
    from bayesrm.diagnostics import compare, diagnose
    from bayesrm.evaluation.baselines import baselines
    from bayesrm.evaluation.forecast import Forecast, forecast
    from bayesrm.evaluation.metrics import evaluate
    from bayesrm.export import load_reward_model, save_reward_model
    from bayesrm.inference import fit
    from bayesrm.inference.base import Inference
    from bayesrm.inspection.recorded import load_preferences, load_votes
    from bayesrm.models.encoders import Encoder
    from bayesrm.models.likelihoods.base import Likelihood
    from bayesrm.models.reward_model import RewardModel
    from bayesrm.posteriors.base import RewardPosterior
    from bayesrm.registry import register
    from bayesrm.runs.loop import RoundRecord, run
    from bayesrm.runs.replay import replay
    from bayesrm.runs.results import open_results
    from bayesrm.types import Comparisons, Preferences, ResponsePool

_HOME = {
    "Annotator": "annotators.base",
    "Campaign": "campaign",
    "CandidateSet": "design.candidates",
    "Comparisons": "types",
    "Criterion": "design.base",
    "Design": "design.base",
    "Encoder": "models.encoders",
    "Forecast": "evaluation.forecast",
    "GoldenAnnotator": "annotators.golden",
    "Inference": "inference.base",
    "Likelihood": "models.likelihoods.base",
    "Live": "design.live",
    "Preferences": "types",
    "ReplayAnnotator": "annotators.replay",
    "ResponsePool": "types",
    "RewardModel": "models.reward_model",
    "RewardPosterior": "posteriors.base",
    "RoundRecord": "runs.loop",
    "ListSelection": "design.lists.selection",
    "Selection": "design.selection",
    "Selector": "design.base",
    "Votes": "data.votes",
    "baselines": "evaluation.baselines",
    "candidates": "design.candidates",
    "compare": "diagnostics",
    "designs": "design",
    "diagnose": "diagnostics",
    "evaluate": "evaluation.metrics",
    "fit": "inference",
    "forecast": "evaluation.forecast",
    "headroom": "design.headroom",
    "load_golden": "data",
    "load_pool": "data",
    "load_preferences": "inspection.recorded",
    "load_reward_model": "export",
    "load_votes": "inspection.recorded",
    "open_results": "runs.results",
    "register": "registry",
    "replay": "runs.replay",
    "run": "runs.loop",
    "save_pool": "data",
    "save_reward_model": "export",
    "select": "design",
}

__all__ = [
    "Annotator",
    "Campaign",
    "CandidateSet",
    "Comparisons",
    "Criterion",
    "Design",
    "Encoder",
    "Forecast",
    "GoldenAnnotator",
    "Inference",
    "Likelihood",
    "ListSelection",
    "Live",
    "Preferences",
    "ReplayAnnotator",
    "ResponsePool",
    "RewardModel",
    "RewardPosterior",
    "RoundRecord",
    "Selection",
    "Selector",
    "Votes",
    "baselines",
    "candidates",
    "compare",
    "designs",
    "diagnose",
    "evaluate",
    "fit",
    "forecast",
    "headroom",
    "load_golden",
    "load_pool",
    "load_preferences",
    "load_reward_model",
    "load_votes",
    "open_results",
    "register",
    "replay",
    "run",
    "save_pool",
    "save_reward_model",
    "select",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bayesrm' has no attribute {name!r}")
    return getattr(import_module(f"bayesrm.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
