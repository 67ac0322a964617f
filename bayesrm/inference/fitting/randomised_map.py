r"""Randomised MAP: approximate draws of the last layer, each the exact mode of a perturbed log joint.

Draw s maximises

    Σ_k e_sk v_k log p(y_k | z_skᵀβ) − ½ (β − a_s)ᵀ diag(τ) (β − a_s),   e_sk ~ Exponential(1),  a_s ~ Normal(μ, τ⁻¹),

with μ the prior mean.

To first order β_s − β̂ = Λ⁻¹(Σ_k (e_sk − 1) v_k s_k z_k + τ a_s), with s_k the score. Where the model holds E s_k² is
the Fisher weight, so with v_k = 1 the covariance is Λ⁻¹(ZᵀWZ + diag(τ))Λ⁻¹ = Λ⁻¹: that of Laplace. Both
perturbations are needed: anchors alone (Pearce et al. 2020) leave Λ⁻¹ diag(τ) Λ⁻¹, far too little where there are
labels; weights alone (Newton & Raftery 1994) leave nothing where there are none. Together they are the weighted
Bayesian bootstrap with a random prior penalty (Newton, Polson & Xu 2021). Without labels the draws are the prior's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from bayesrm import rng
from bayesrm.inference.fitting.nested import find_mode
from bayesrm.models.log_joint import LabelledDifferences, Prior
from bayesrm.models.reward_model import RewardModel


def randomised_map(
    model: RewardModel,
    data: LabelledDifferences,
    differences: Iterable[Float[Tensor, "comparison feature"]],
    precision: Float[Tensor, "feature"],
    seed: int,
) -> tuple[Float[Tensor, "draw feature"], Float[Tensor, "draw nuisance"]]:
    """A last layer for each draw's own features.

    Parameters
    ----------
    model
        Its likelihood and nuisance parameters.
    data
        Outcomes and weights.
    differences
        For each draw its feature differences, in place of those of ``data``.
    precision
        τ.
    seed
        Root of the perturbations.

    Returns
    -------
    beta, nuisance
        The modes; nuisance parameters are unconstrained.
    """
    betas, nuisances = [], []
    for s, difference in enumerate(differences):
        generator = rng.stream(seed, "perturbation", s)
        anchor = torch.from_numpy(generator.standard_normal(len(precision))).to(precision) * precision.rsqrt()
        anchor = anchor + model.prior_location().to(precision)
        weight = data.weight * torch.from_numpy(generator.exponential(size=len(data.weight))).to(data.weight)
        perturbed = replace(data, difference=difference, weight=weight)
        joint = replace(model.log_joint(perturbed, precision), prior=_anchored(anchor, precision))
        mode = find_mode(joint)
        betas.append(mode.beta)
        nuisances.append(mode.nuisance)
    return torch.stack(betas), torch.stack(nuisances)


def _anchored(anchor: Float[Tensor, "feature"], precision: Float[Tensor, "feature"]) -> Prior:
    return lambda values: (anchor, precision)
