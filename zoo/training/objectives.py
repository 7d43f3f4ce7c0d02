"""Losses as functions of the ELBO's terms; models know nothing of them."""

from __future__ import annotations

from torch import Tensor

from zoo.model import ElboTerms
from zoo.training.config import BetaObjective, ObjectiveConfig


def loss(objective: ObjectiveConfig, terms: ElboTerms, kl_weight: float | Tensor) -> Tensor:
    r"""The mean over the batch of -log p(x|z) + w beta sum_g max(KL_g, free bits), a scalar.

    ``kl_weight`` w is the warm-up's weight, from 0 to 1. Free bits (Kingma et al. 2016,
    arXiv:1606.04934) apply to each group's KL averaged over the batch, in nats.
    """
    kl = terms.kl.mean(0)
    if objective.free_bits:
        kl = kl.clamp(min=objective.free_bits)
    beta = objective.beta if isinstance(objective, BetaObjective) else 1.0
    return -terms.log_likelihood.mean() + kl_weight * beta * kl.sum()
