r"""A prior of the scales of several blocks, which keeps ten of them from overfitting forty labels.

With t_b = log(σ_b / unit_b) the log of what block b adds to the reward of a typical response beside the others to its
prompt, in logits,

    t_b = s + d_b,    s ~ Normal(log 0.7, 0.7²),    d_b ~ Normal(log w_b, τ_b²),

so t ~ Normal(m, τ_s² 11ᵀ + diag(τ_b²)): labels move all blocks together freely, and each against the others only by as
much as τ_b lets them. The w_b say what is expected of a block before any label: middle hidden layers know more of what
makes a text good than the first and the last ones, and squares of the w_b of the layers add up to one.

A maximum of evidence plus log density is stationary where, with the mode β and the number γ_b = d_b − tr(Σ_bb)/σ_b² of
weights that the labels determine (MacKay 1992), plus how log det Λ changes as the mode moves
(:mod:`bayesrm.inference.fitting.evidence_slope`),

    ‖β_b‖²/σ_b² − γ_b − [S⁻¹(t − m)]_b = 0,

which is iterated; given ‖β_b‖² and γ_b it is the maximum of a concave function of t, found by Newton's method.
Tuned on the pool parts of two data sets with answers of people and of a judge, see studies/README.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayesrm.models.covariates import CovariateFeatures
from bayesrm.models.encoders import KERNEL, MIXED

SHARED_MEAN, SHARED_SD = math.log(0.7), 0.7
"""Of s."""
LAYER_SD, OTHER_SD = 0.35, 0.7
"""τ of blocks of an embedding and of covariates, and of a block that stands for another shape of the same reward."""
OUTER_LAYER = 0.4
"""Weight of the first and of the last third of the hidden layers, where a middle one has 1."""
COVARIATES_WEIGHT = 0.7
OTHER_SHAPES = {MIXED: 0.8, KERNEL: 0.8}
"""Weights of blocks beside those of the layers that stand for another shape of the same reward."""
_LAYER = re.compile(r"layer-(\d+)")


@dataclass(frozen=True)
class ScalePrior:
    """A Normal prior of the log spreads t of some blocks.

    Parameters
    ----------
    names
        The blocks.
    mean
        (block,) m.
    precision
        (block, block) S⁻¹.
    """

    names: tuple[str, ...]
    mean: Float[np.ndarray, "block"]
    precision: Float[np.ndarray, "block block"]

    def log_density(self, log_spread: Float[np.ndarray, "block"]) -> float:
        """Up to a constant, in nats."""
        away = log_spread - self.mean
        return -0.5 * float(away @ self.precision @ away)

    def stationary(
        self,
        squares: Float[np.ndarray, "block"],
        determined: Float[np.ndarray, "block"],
        start: Float[np.ndarray, "block"],
    ) -> Float[np.ndarray, "block"]:
        """The t that maximises Σ_b (−γ_b t_b − ½ q_b e^{−2 t_b}) plus the log density; q_b is ‖β_b‖²/unit_b²."""

        def value(t: np.ndarray) -> float:
            return float(-determined @ t - 0.5 * squares @ np.exp(-2 * t)) + self.log_density(t)

        t = start
        for _ in range(100):
            pull = squares * np.exp(-2 * t)
            gradient = pull - determined - self.precision @ (t - self.mean)
            step = np.linalg.solve(np.diag(2 * pull) + self.precision, gradient)
            size = 1.0
            while value(t + size * step) < value(t) and size > 1e-8:
                size /= 2
            t = t + size * step
            if np.abs(size * step).max() < 1e-9:
                break
        return t


def scale_prior(encoder_blocks: Sequence[str], covariates: CovariateFeatures) -> ScalePrior | None:
    """The prior of the scales of an encoder's linear blocks and of covariates; None where there is a single block."""
    beside = list(covariates.blocks(0))
    if len(encoder_blocks) + len(beside) < 2:
        return None
    shapes = OTHER_SHAPES if len(encoder_blocks) > 1 else {}
    weight = layer_weights([name for name in encoder_blocks if name not in shapes]) | shapes
    # Covariates apart share what they have together.
    weight |= {name: COVARIATES_WEIGHT / math.sqrt(len(beside)) for name in beside}
    names = (*encoder_blocks, *beside)
    mean = SHARED_MEAN + np.log([weight[name] for name in names])
    sd = np.array([OTHER_SD if name in shapes else LAYER_SD for name in names])
    covariance = SHARED_SD**2 + np.diag(sd**2)
    return ScalePrior(names, mean, np.linalg.inv(covariance))


def layer_weights(names: Sequence[str]) -> dict[str, float]:
    """Weights whose squares add up to one: of hidden layers by their depth, of other blocks alike."""
    depths = [_depth(name) for name in names]
    deepest = max((depth for depth in depths if depth is not None), default=0)
    raw = [
        1.0 if depth is None or len(names) == 1 or 1 <= depth <= 2 * deepest / 3 else OUTER_LAYER
        for depth in depths
    ]
    norm = math.sqrt(sum(value**2 for value in raw)) or 1.0
    return {name: value / norm for name, value in zip(names, raw, strict=True)}


def _depth(name: str) -> int | None:
    found = _LAYER.match(name)
    return int(found.group(1)) if found else None
