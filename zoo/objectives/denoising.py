"""Denoising (Vincent et al. 2008, ICML)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError
from zoo.objectives.elbo import ELBO


class Denoising(ELBO):
    r"""-log p(x|z) of the clean x, where z is the code of a corrupted one; validated on clean ones.

    For an autoencoder. On a variational model this is the denoising VAE (Im et al. 2017,
    arXiv:1511.06406): the ELBO, still a bound, of a posterior that is a mixture over corruptions.

    >>> zeroed = Denoising(Denoising.Config(amount=0.25)).corrupted(torch.ones(1000, 10))
    >>> 0.2 < (zeroed == 0).float().mean() < 0.3
    tensor(True)
    """

    sums_over_classes = False

    class Config(ELBO.Config):
        """``masking`` zeroes each value with probability ``amount``; of a table it is missing.

        ``gaussian`` adds noise of the standard deviation ``amount``.
        """

        noise: Literal["masking", "gaussian"] = "masking"
        amount: float = Field(0.25, ge=0, le=1e3)

    config: Config

    def draws(self, model: LatentVariableModel, batch: Batch) -> Draws:
        nothing = torch.nan if model.modality.nan_is_missing else 0.0
        draws = super().draws(model, batch._replace(x=self.corrupted(batch.x, nothing)))
        draws.batch = model.prepared(batch)  # what is scored
        return draws

    def corrupted(self, x: Tensor, nothing: float = 0.0) -> Tensor:
        """x (B, ...) with fresh noise; ``nothing`` stands for what is masked."""
        amount = self.config.amount
        if self.config.noise == "gaussian":
            return x + amount * torch.randn_like(x)
        return x.masked_fill(torch.rand_like(x) < amount, nothing)

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        if model.modality.name == "text":
            raise ConfigError(
                f"the objective {name!r} corrupts numbers, and {model.variant!r} reads text here; "
                "choose the objective 'elbo'"
            )
        if self.config.noise == "gaussian" and model.input_kind != "real":
            raise ConfigError(
                f"Gaussian noise makes real numbers of examples, and {model.variant!r} reads "
                f"{model.input_kind} ones; choose noise 'masking', or the likelihood 'gaussian'"
            )
