r"""Training of an encoder together with a guide, on the ELBO, in place of the MAP.

    max over θ, m, T of E_q[log p(y | β, ν, θ)] − KL(q ‖ prior),   (β, ν) ~ q = Normal(m, T Tᵀ).

Stopped early on held-out comparisons as the MAP is, at the mean of the guide.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoMultivariateNormal, init_to_sample
from torch import Tensor

from bayesrm import rng
from bayesrm.inference.fitting.guides import site_order
from bayesrm.inference.fitting.training import Descent, TrainingData
from bayesrm.models.reward_model import RewardModel

GUIDE_RATE = 1e-2
"""Learning rate of the guide's spread, which has further to go than its mean and the encoder."""
PARTICLES = 2


class ElboDescent(Descent):
    """Adam on the negative ELBO, encoder (in place) and guide together; parameters as in Descent."""

    def __init__(self, model: RewardModel, data: TrainingData, seed: int, prior: bool = True) -> None:
        super().__init__(model, data, seed, prior)
        first = torch.cat([self._nuisance, self._beta]).detach()
        # The guide is over all of β, a linear block included.
        self._body = model.encoder.body
        self._trained = torch.ones_like(self._trained)
        program: Any = self._program
        with rng.fenced(rng.child(seed, "guide")):
            self._guide: Any = AutoMultivariateNormal(program, init_loc_fn=init_to_sample)
            self._guide._setup_prototype(data, 1.0)
        self._order = site_order(self._guide, self._space)
        with torch.no_grad():
            self._guide.loc.copy_(first[self._order])
        self._negative_elbo = Trace_ELBO(num_particles=PARTICLES)(program, self._guide)
        spread = [value for name, value in sorted(self._guide.named_parameters()) if name != "loc"]
        self._optimizer.add_param_group({"params": [self._guide.loc]})
        self._optimizer.add_param_group({"params": spread, "lr": GUIDE_RATE})

    def finish(self) -> tuple[Float[Tensor, "feature"], Float[Tensor, "nuisance"]]:
        """The mean of the guide; the encoder is set to evaluation."""
        self._read_mean()
        return super().finish()

    def loss(self, held_out: TrainingData) -> float:
        """Negative log-likelihood of other comparisons at the mean of the guide, in nats."""
        self._read_mean()
        return super().loss(held_out)

    def _objective(self, batch: TrainingData, scale: float) -> Float[Tensor, ""]:
        loss: Tensor = self._negative_elbo(batch, scale)
        return loss

    def _program(self, data: TrainingData, scale: float) -> Tensor:
        features = torch.cat([self.model.encoder.body(data.inputs), data.beside], dim=1)
        weight = scale * data.weight
        return self.model.last_layer(features, data.first, data.second, data.outcome, weight, data.context)

    def _read_mean(self) -> None:
        mean = torch.empty_like(self._guide.loc)
        mean[self._order] = self._guide.loc.detach()
        with torch.no_grad():
            self._nuisance.copy_(mean[: self._space.size])
            self._free.copy_(mean[self._space.size :])
