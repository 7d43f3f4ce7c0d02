"""Annealed capacity (Burgess et al. 2018, arXiv:1804.03599)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from zoo.core.draws import Draws
from zoo.objectives.base import Loss, Step
from zoo.objectives.own_selection import SelectsItself
from zoo.settings import Settings


class Capacity(SelectsItself):
    r"""-E_q[log p(x|z)] + gamma |KL - w C|, means over the batch, the KL that of all groups.

    w is the warm-up's weight: over ``train.kl_warmup_steps`` the capacity rises from 0 to C nats,
    so that the latents are taken up one after the other; without them it is C from the start. The
    best model is picked by the objective itself: a KL that is held above the one of the best ELBO
    leaves that ELBO behind, and with it the capacity asked for.

    >>> import torch
    >>> objective = Capacity(Capacity.Config(gamma=100.0, capacity=8.0))
    >>> objective.cost(torch.tensor(5.0), objective.config.capacity / 2)
    tensor(100.)
    """

    logs = ("log_likelihood", "kl", "capacity")
    needs_evidence = True

    class Config(Settings):
        """``capacity`` C in nats; ``gamma`` is what a nat above or below it costs."""

        capacity: float = Field(25.0, ge=0, le=1e30)
        gamma: float = Field(100.0, ge=0, le=1e30)

    config: Config

    def cost(self, kl: Tensor, capacity: float | Tensor) -> Tensor:
        """gamma |KL - C|."""
        return self.config.gamma * (kl - capacity).abs()

    def loss(self, draws: Draws, step: Step) -> Loss:
        log_likelihood, kl = draws.expected_log_likelihood.mean(), draws.kl.sum(-1).mean()
        capacity = self.config.capacity * step.kl_weight * kl.new_ones(())
        logged = log_likelihood.detach(), kl.detach(), capacity
        value = self.cost(kl, capacity) - log_likelihood
        return Loss(value, dict(zip(self.logs, logged, strict=True)))
