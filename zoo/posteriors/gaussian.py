"""The diagonal Gaussian posterior (Kingma & Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus

from zoo.core.latent_space import Euclidean
from zoo.distributions.precision import full_precision
from zoo.posteriors.base import Posterior, Projection
from zoo.settings import Settings

MIN_SCALE = 1e-4
"""Keeps log q(z|x) finite when a posterior collapses to a point."""


class Gaussian(Posterior):
    """N(mu(x), diag sigma(x)^2) with sigma = softplus(.) + 1e-4.

    >>> import torch
    >>> posterior = Gaussian(Settings(), lambda n: torch.nn.Linear(128, n), 10)
    >>> posterior(torch.zeros(5, 128), None).rsample().shape
    torch.Size([5, 10])
    """

    space = Euclidean

    def __init__(self, config: Settings, project: Projection, dim: int) -> None:
        super().__init__()
        self.projection = project(2 * dim)

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        mean, raw_scale = full_precision(self.projection(features)).chunk(2, dim=-1)  # (..., D)
        return diagonal_normal(mean, softplus(raw_scale) + MIN_SCALE)


def diagonal_normal(mean: Tensor, scale: Tensor) -> Distribution:
    """Independent normals over the last dimension, (..., D)."""
    return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)
