"""The evidence lower bound (Kingma & Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.draws import Draws
from zoo.errors import ConfigError
from zoo.objectives.base import Loss, Objective, Step
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.training.config import TrainingConfig
    from zoo.variants import Variant

NEGLIGIBLE_KL = 1e-8
"""Nats added to each group's KL before they are divided by their mean, which may be 0."""


class ELBO(Objective):
    r"""-E_q[log p(x|z)] + w sum_g gamma_g max(KL_g, free bits), means over the batch.

    w is the warm-up's weight, from 0 to 1. Free bits (Kingma et al. 2016, arXiv:1606.04934) apply
    to each group's mean, in nats. gamma_g is 1 unless ``balance`` is asked for, whose weights come
    of the KL before its free bits: these neither hide nor raise what a group carries.
    """

    logs: ClassVar[tuple[str, ...]] = ("log_likelihood", "kl")

    class Config(Settings):
        """``free_bits`` nats of each group's KL cost nothing.

        ``balance`` weighs the groups during the KL warm-up, so that those that carry little are
        pulled to the prior less.
        """

        free_bits: float = Field(0.0, ge=0, le=1e30)
        balance: bool = False

    config: Config

    @property
    def beta(self) -> float:
        """How often the KL counts."""
        return 1.0

    def loss(self, draws: Draws, step: Step) -> Loss:
        log_likelihood, kl = draws.expected_log_likelihood.mean(), draws.kl.mean(0)  # (), (G,)
        value = self.weighted(kl, step.kl_weight) - log_likelihood
        logged = {"log_likelihood": log_likelihood.detach(), "kl": kl.detach().sum()}
        return Loss(value, logged)

    def weighted(self, kl: Tensor, kl_weight: float | Tensor) -> Tensor:
        """w beta sum_g gamma_g max(KL_g, free bits) of the groups' mean KL (G,).

        >>> ELBO(ELBO.Config(free_bits=6.0)).weighted(torch.tensor([20.0, 5.0]), 0.5)
        tensor(13.)
        """
        cost = kl.clamp(min=self.config.free_bits) if self.config.free_bits else kl
        if self.config.balance and (isinstance(kl_weight, Tensor) or kl_weight < 1):
            cost = balance(kl, kl_weight) * cost
        weight = kl_weight if self.beta == 1 else kl_weight * self.beta
        total = cost.sum()
        if (
            isinstance(weight, Tensor) or weight != 1
        ):  # a factor of 1 would cost a small model 0.3 %
            total = weight * total
        return total

    @property
    def _shapes_kl(self) -> bool:
        return self.beta != 1 or self.config.free_bits > 0 or self.config.balance

    def check(self, name: str, variant: Variant, train: TrainingConfig) -> None:
        super().check(name, variant, train)
        weighs = train.kl_warmup_steps > 0 or self._shapes_kl
        if weighs and not variant.model.has_evidence:
            raise ConfigError(
                f"{variant.name!r} has no KL for beta, free_bits, balance or kl_warmup_steps to "
                "weigh; leave them out, or choose a variational variant such as 'gaussian-vae'"
            )
        if self.config.balance and not train.kl_warmup_steps:
            raise ConfigError(
                "objective.balance weighs the groups while the KL is warmed up, and there is no "
                "warm-up; set train.kl_warmup_steps, or leave balance out"
            )


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
