"""Losses as functions of the ELBO's terms; models know nothing of them."""

from __future__ import annotations

from torch import Tensor

from zoo.training.config import BetaObjective, ObjectiveConfig


def loss(
    objective: ObjectiveConfig, log_likelihood: Tensor, kl: Tensor, kl_weight: float | Tensor
) -> Tensor:
    r"""-log p(x|z) + w beta sum_g max(KL_g, free bits), a scalar.

    ``log_likelihood`` and the groups' ``kl``, shape (G,), are means over the batch. ``kl_weight`` w
    is the warm-up's weight, from 0 to 1. Free bits (Kingma et al. 2016, arXiv:1606.04934) apply to
    each group's mean, in nats.

    >>> import torch
    >>> loss(BetaObjective(beta=4.0), torch.tensor(-90.0), torch.tensor([20.0, 5.0]), 0.5)
    tensor(140.)
    """
    if objective.free_bits:
        kl = kl.clamp(min=objective.free_bits)
    weight = kl_weight * objective.beta if isinstance(objective, BetaObjective) else kl_weight
    cost = kl.sum()
    if isinstance(weight, Tensor) or weight != 1:  # a factor of 1 would cost a small model 0.3 %
        cost = weight * cost
    return cost - log_likelihood
