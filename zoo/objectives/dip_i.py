"""DIP-VAE-I (Kumar et al. 2018, arXiv:1711.00848)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.objectives.base import Loss, Step
from zoo.objectives.codes import OfCodes, check_coordinates, coordinates


class DIPI(OfCodes):
    r"""The ELBO, and a penalty on the covariance C of the means mu(x) for not being I.

    a sum_(i != j) C_ij^2 + b sum_i (C_ii - 1)^2, where C is the batch's, with B - 1 for a divisor.

    >>> objective = DIPI(DIPI.Config(off_diagonal=10.0, on_diagonal=100.0))
    >>> objective.penalty(torch.tensor([[1.5, 0.2], [0.2, 1.0]]))
    tensor(25.8000)
    """

    logs = ("log_likelihood", "kl", "covariance")
    needs_evidence = True

    class Config(OfCodes.Config):
        """What the squares cost: ``off_diagonal``, a, and ``on_diagonal``, b."""

        off_diagonal: float = Field(10.0, ge=0, le=1e30)
        on_diagonal: float = Field(100.0, ge=0, le=1e30)

    config: Config

    def covariance(self, q: Distribution) -> Tensor:
        """C of posteriors with independent coordinates (B, ..., d): (D, D)."""
        centred = (q.mean - q.mean.mean(0)).flatten(1)  # (B, D)
        with torch.autocast(centred.device.type, enabled=False):  # it would round the products
            return centred.T @ centred / max(len(centred) - 1, 1)

    def penalty(self, covariance: Tensor) -> Tensor:
        """Of C (D, D), a scalar."""
        diagonal = covariance.diagonal()  # (D,)
        beside = covariance.square().sum() - diagonal.square().sum()
        on_it = (diagonal - 1).square().sum()
        return self.config.off_diagonal * beside + self.config.on_diagonal * on_it

    def loss(self, draws: Draws, step: Step) -> Loss:
        bound = super().loss(draws, step)
        penalty = self.penalty(self.covariance(coordinates(draws.posteriors[0])))
        return Loss(bound.value + penalty, {**bound.logs, "covariance": penalty.detach()})

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        check_coordinates(name, model)
