"""The Gaussian posterior whose codes keep unit second moment (Su 2020, kexue.fm/archives/7381)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.latent_space import Euclidean
from zoo.distributions.precision import full_precision
from zoo.nn.standardised import Standardised
from zoo.posteriors.base import Posterior, Projection
from zoo.posteriors.gaussian import MIN_SCALE, diagonal_normal
from zoo.settings import Settings


class BatchNormMoments(Posterior):
    r"""Mean and deviation batch-normalised, their shares of the second moment learned.

        mu = gamma_mu (m - mean m) / std m,             gamma_mu^2 = tau + (1 - tau) sigmoid(theta)
        sigma = gamma_sigma (s - mean s) / std s,       gamma_sigma^2 = (1 - tau) sigmoid(-theta)

    theta is one number a dimension, from 0. A deviation may be negative, as in mu + sigma epsilon:
    only its size counts. Over examples mu has mean 0, and E[mu^2] + E[sigma^2] = 1 as the prior
    N(0, I) has it. Then the average KL is -E[log sigma^2] / 2 in each dimension, at least
    -log(1 - tau) / 2, which is more than tau / 2: the KL cannot vanish.

    In evaluation with statistics of the training set. Raises UnsupportedError for a training batch
    of one.

    >>> config = BatchNormMoments.Config(tau=0.5)
    >>> posterior = BatchNormMoments(config, lambda n: nn.Linear(8, n), 3)
    >>> q = posterior(torch.randn(64, 8), None)
    >>> second_moment = (q.mean.square() + q.variance).mean(0)
    >>> torch.allclose(second_moment, torch.ones(3))
    True
    """

    space = Euclidean
    of_x_alone = False

    class Config(Settings):
        """``tau`` is the least share of the second moment that the means have."""

        tau: float = Field(0.5, ge=0, lt=1)

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        self.tau = config.tau
        self.projection = project(2 * dim)
        self.normalise = Standardised(2 * dim)
        self.share = nn.Parameter(torch.zeros(dim))  # theta

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        numbers = self.normalise(full_precision(self.projection(features)))  # (..., 2 D)
        mean, deviation = numbers.chunk(2, dim=-1)  # (..., D) each
        free = (1 - self.tau) * torch.stack([self.share, -self.share]).sigmoid()  # (2, D)
        scale = (free[1] * deviation.square() + MIN_SCALE**2).sqrt()
        return diagonal_normal((self.tau + free[0]).sqrt() * mean, scale)
