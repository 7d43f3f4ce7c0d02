"""The Gaussian posterior with batch-normalised means (Zhu et al. 2020, arXiv:2004.12585)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from zoo.core.latent_space import Euclidean
from zoo.distributions.precision import full_precision
from zoo.nn.standardised import Standardised
from zoo.posteriors.base import Posterior, Projection
from zoo.posteriors.gaussian import MIN_SCALE, diagonal_normal
from zoo.settings import Settings


class BatchNorm(Posterior):
    r"""mu = gamma (m - mean m) / std m + beta with a fixed gamma and a learned beta.

    Since then E[mu^2] >= gamma^2 over examples, the average KL to a standard normal is at least
    D gamma^2 / 2, however strong the decoder: the KL cannot vanish.

    In evaluation with statistics of the training set. Raises UnsupportedError for a training batch
    of one.

    >>> posterior = BatchNorm(BatchNorm.Config(gamma=0.6), lambda n: nn.Linear(8, n), 3)
    >>> posterior(torch.randn(64, 8), None).mean.square().mean(0) >= 0.3599
    tensor([True, True, True])
    """

    space = Euclidean
    of_x_alone = False

    class Config(Settings):
        """``gamma`` is the standard deviation of the means over a batch."""

        gamma: float = Field(0.6, gt=0, le=100)

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        self.gamma = config.gamma
        self.projection = project(2 * dim)
        self.normalise = Standardised(dim)
        self.shift = nn.Parameter(torch.zeros(dim))

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        raw_mean, raw_scale = full_precision(self.projection(features)).chunk(2, dim=-1)  # (..., D)
        mean = self.gamma * self.normalise(raw_mean) + self.shift
        return diagonal_normal(mean, softplus(raw_scale) + MIN_SCALE)
