r"""BatchBALD with Gaussian answers: f(C) = ½ log det(I + W^½ K W^½) in nats, K the posterior covariance of the logits.

With each answer taken for a Gaussian observation of its logit with precision w, the joint information I(y_C; β) of
Kirsch et al. (2019) is in closed form and has no ceiling. It is past-aware D-optimality, pair for pair.
"""

from __future__ import annotations

from typing import ClassVar

from bayesrm.design.criteria.pa_dopt import PastAwareDOptimal


class GaussianBatchBALD(PastAwareDOptimal):
    """Most joint information of the batch's answers, each taken for Gaussian: the same pairs as pa-dopt."""

    name: ClassVar[str] = "batchbald-gaussian"
    requires: ClassVar[frozenset[str]] = frozenset({"spread"})
