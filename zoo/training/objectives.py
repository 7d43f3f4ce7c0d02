"""Losses as functions of the ELBO's terms or of log-weights; models know nothing of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.training.config import BetaObjective, IwaeObjective, KLObjective, ObjectiveConfig

NEGLIGIBLE_KL = 1e-8
"""Nats added to each group's KL before they are divided by their mean, which may be 0."""


def loss(
    objective: KLObjective, log_likelihood: Tensor, kl: Tensor, kl_weight: float | Tensor
) -> Tensor:
    r"""-log p(x|z) + w beta sum_g gamma_g max(KL_g, free bits), a scalar.

    ``log_likelihood`` and the groups' ``kl``, shape (G,), are means over the batch. ``kl_weight`` w
    is the warm-up's weight, from 0 to 1. Free bits (Kingma et al. 2016, arXiv:1606.04934) apply to
    each group's mean, in nats. gamma_g is 1 unless the objective asks for :func:`balance`, whose
    weights come of the KL before its free bits: these neither hide nor raise what a group carries.

    >>> loss(BetaObjective(beta=4.0), torch.tensor(-90.0), torch.tensor([20.0, 5.0]), 0.5)
    tensor(140.)
    """
    cost = kl.clamp(min=objective.free_bits) if objective.free_bits else kl
    if objective.balance and (isinstance(kl_weight, Tensor) or kl_weight < 1):
        cost = balance(kl, kl_weight) * cost
    weight = kl_weight * objective.beta if isinstance(objective, BetaObjective) else kl_weight
    total = cost.sum()
    if isinstance(weight, Tensor) or weight != 1:  # a factor of 1 would cost a small model 0.3 %
        total = weight * total
    return total - log_likelihood


def balance(kl: Tensor, kl_weight: float | Tensor) -> Tensor:
    r"""gamma_g = KL_g / mean_g KL_g while the warm-up lasts, then exactly 1; shape (G,).

    A group that carries little is pulled to the prior less, so that fewer die in a warm-up. As in
    NVAE (Vahdat & Kautz 2020, arXiv:2007.03898), without its factor for a group's size. No gradient
    passes through gamma. A KL estimated below 0 counts as 0, and where all are 0 gamma is 1. The
    weight may stay on the device: nothing waits for it.

    >>> balance(torch.tensor([6.0, 2.0, 1.0]), 0.5)
    tensor([2.0000, 0.6667, 0.3333])
    >>> balance(torch.tensor([6.0, 2.0, 1.0]), 1.0)
    tensor([1., 1., 1.])
    """
    carried = kl.detach().clamp(min=0) + NEGLIGIBLE_KL
    gamma = carried / carried.mean()
    if isinstance(kl_weight, Tensor):
        return torch.where(kl_weight < 1, gamma, torch.ones_like(gamma))
    return gamma if kl_weight < 1 else torch.ones_like(gamma)


def importance_bound(log_weights: Tensor) -> Tensor:
    r"""The batch's mean of log 1/S sum_s w_s for log-weights (S, B), a scalar to be maximised.

    The bound of IWAE (Burda et al. 2016, arXiv:1509.00519). Its gradient is the plain one through
    the reparameterised draws, sum_s (w_s / sum_t w_t) d log w_s. That is unbiased, but what it
    tells the encoder drowns in noise as S grows (Rainforth et al. 2018, arXiv:1802.04537).

    >>> importance_bound(torch.tensor([[1.0, 3.0], [1.0, 3.0]]))
    tensor(2.)
    """
    return (log_weights.logsumexp(0) - math.log(len(log_weights))).mean()


def figures(objective: ObjectiveConfig, means: Sequence[float]) -> dict[str, float]:
    """An epoch's mean loss and the two figures the trainer keeps beside it, as they are recorded.

    Beside an ELBO's loss these are its terms. Of log-weights, whose mean is the ELBO and does not
    fall into terms, they are this mean and the bound.

    >>> figures(IwaeObjective(), [90.0, -92.0, -90.0])
    {'train_loss': 90.0, 'train_elbo': -92.0, 'train_bound': -90.0}
    """
    value, first, second = means
    if isinstance(objective, IwaeObjective):
        return {"train_loss": value, "train_elbo": first, "train_bound": second}
    terms = {"train_log_likelihood": first, "train_kl": second}
    return {"train_loss": value, **terms, "train_elbo": first - second}
