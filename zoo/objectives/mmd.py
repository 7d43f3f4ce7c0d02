"""InfoVAE with the maximum mean discrepancy (Zhao et al. 2017, arXiv:1706.02262)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.distributions.discrepancy import squared_mmd
from zoo.objectives.base import Loss, Step
from zoo.objectives.codes import OfCodes
from zoo.objectives.own_selection import SelectsItself


class MMD(SelectsItself, OfCodes):
    r"""-E_q[log p(x|z)] + w (1 - alpha) KL + (alpha + lambda - 1) MMD^2(q(z), p(z)).

    q(z) are the codes of the batch together. alpha = 0 and lambda = 1 make the ELBO. At alpha = 1
    no code by itself is pulled to the prior, only all of them: that is the Wasserstein autoencoder
    (Tolstikhin et al. 2018, arXiv:1711.01558) of random codes, lambda its weight, -log p(x|z) its
    cost. On an autoencoder, whose codes are held to N(0, I), it is that of deterministic ones.

    Prior draws carry no gradient: a learned prior learns of the KL alone. The best model is picked
    by the objective itself: the ELBO falls where a model may spend any KL.
    """

    logs = ("log_likelihood", "kl", "mmd")
    sums_over_classes = False

    class Config(OfCodes.Config):
        """``alpha``, and ``mmd_weight``, the lambda."""

        alpha: float = Field(0.5, ge=-1e6, le=1)
        mmd_weight: float = Field(100.0, ge=0, le=1e30)

    config: Config

    @property
    def beta(self) -> float:
        return 1 - self.config.alpha

    @property
    def _shapes_kl(self) -> bool:  # alpha takes nothing from a KL that is not there
        return self.config.free_bits > 0 or self.config.balance

    def draws(self, model: LatentVariableModel, batch: Batch) -> Draws:
        draws = super().draws(model, batch)
        ours = model.space.standardized(draws.z[0])  # (B, D)
        theirs = model.space.standardized(_of_prior(model, batch, draws.z[0]))
        draws.auxiliary["mmd"] = squared_mmd(ours, theirs)  # ()
        return draws

    def loss(self, draws: Draws, step: Step) -> Loss:
        bound, mmd = super().loss(draws, step), draws.auxiliary["mmd"]
        weight = self.config.alpha + self.config.mmd_weight - 1
        return Loss(bound.value + weight * mmd, {**bound.logs, "mmd": mmd.detach()})


def _of_prior(model: LatentVariableModel, batch: Batch, like: Tensor) -> Tensor:
    """As many codes of the prior (B, D): of N(0, I) for a model that has none to train."""
    if not model.has_evidence:
        return torch.randn_like(like)
    return model.draw_codes(len(like), 1.0, None, batch.condition).detach()
