"""The contractive autoencoder (Rifai et al. 2011, ICML)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError
from zoo.objectives.base import Loss, Step
from zoo.objectives.elbo import ELBO

if TYPE_CHECKING:
    from zoo.training.config import TrainingConfig
    from zoo.variants import Variant


class Contractive(ELBO):
    r"""-log p(x|z) + strength |J|_F^2, J = dz/dx of the code z(x), means over the batch.

    The norm is Hutchinson's estimate |J v|^2 with one vector v of random signs for each example
    and step, unbiased since E[v v^T] = I: one pass in forward mode, however wide the code. Rifai
    et al. tie the decoder's weights to the encoder's, so that codes cannot shrink for free; here
    they can, as far as the decoder's weights grow, which ``train.weight_decay`` holds back.
    """

    logs = ("log_likelihood", "kl", "jacobian")

    class Config(ELBO.Config):
        """``strength`` is what the Jacobian's squared norm costs."""

        strength: float = Field(0.1, ge=0, le=1e30)

    config: Config

    def draws(self, model: LatentVariableModel, batch: Batch) -> Draws:
        def code(x: Tensor) -> Tensor:
            return model.infer(batch._replace(x=x)).code  # (B, D)

        signs = 2 * torch.randint_like(batch.x, 2) - 1
        draws = super().draws(model, batch)
        draws.auxiliary["jacobian"] = torch.func.jvp(code, (batch.x,), (signs,))[1].square().sum(-1)
        return draws

    def loss(self, draws: Draws, step: Step) -> Loss:
        bound, norm = super().loss(draws, step), draws.auxiliary["jacobian"].mean()
        value = bound.value + self.config.strength * norm
        return Loss(value, {**bound.logs, "jacobian": norm.detach()})

    def check(self, name: str, variant: Variant, train: TrainingConfig) -> None:
        super().check(name, variant, train)
        if variant.model.has_evidence:
            raise ConfigError(
                f"the objective {name!r} flattens the code of an autoencoder, and {variant.name!r} "
                "has a posterior; choose 'consistency', or the variant 'autoencoder'"
            )
