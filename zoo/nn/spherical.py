"""Modules that turn features into distributions on the unit sphere."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import normalize

from zoo.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    TabulatedVonMisesFisher,
    VonMisesFisher,
)
from zoo.distributions.precision import full_precision
from zoo.errors import UnsupportedError

MIN_CONCENTRATION = 1.0
"""Davidson et al.'s (2018)."""
MAX_LOG_CONCENTRATION = math.log(1e7)


class DirectionalHead(nn.Module):
    """Features (..., F) to distributions of one family over unit vectors (..., m).

    >>> DirectionalHead(VonMisesFisher, 128, 11)(torch.ones(5, 128)).rsample().shape
    torch.Size([5, 11])
    """

    def __init__(
        self,
        family: type[VonMisesFisher] | type[PowerSpherical],
        in_features: int,
        latent_dim: int,
    ) -> None:
        super().__init__()
        self.family = family
        self.projection = nn.Linear(in_features, latent_dim + 1)

    def forward(self, features: Tensor) -> Distribution:
        loc, scale = direction_and_concentration(self.projection(features))
        return self.family(loc, scale, validate_args=False)


class FixedVonMisesFisherHead(nn.Module):
    """Features (..., F) to von Mises-Fisher distributions of one given concentration.

    >>> FixedVonMisesFisherHead(128, 16, 32.0)(torch.ones(5, 128)).rsample().shape
    torch.Size([5, 16])
    """

    def __init__(self, in_features: int, latent_dim: int, concentration: float) -> None:
        super().__init__()
        self.concentration = concentration
        self.projection = nn.Linear(in_features, latent_dim)

    def forward(self, features: Tensor) -> Distribution:
        loc = normalize(full_precision(self.projection(features)), dim=-1)
        return TabulatedVonMisesFisher(loc, self.concentration, validate_args=False)


def direction_and_concentration(projected: Tensor) -> tuple[Tensor, Tensor]:
    """(..., m + 1) numbers to a unit vector (..., m) and a concentration exp(.) + 1, (..., 1).

    Davidson et al. use softplus(.) + 1. A concentration of several hundred, as MNIST needs, then
    takes features of that size.
    """
    projected = full_precision(projected)
    direction, log_scale = torch.split(projected, [projected.shape[-1] - 1, 1], dim=-1)
    scale = log_scale.clamp(max=MAX_LOG_CONCENTRATION).exp() + MIN_CONCENTRATION
    return normalize(direction, dim=-1), scale


class UniformSphere(nn.Module):
    """The prior: uniform on the unit sphere of R^m, on the device and in the dtype of a tensor.

    >>> UniformSphere(3)(torch.zeros(5, 3)).log_prob(torch.tensor([1.0, 0.0, 0.0])).exp().item()
    0.0795...
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, like: Tensor) -> Distribution:
        return HypersphericalUniform(
            self.latent_dim - 1, validate_args=False, device=like.device, dtype=like.dtype
        )

    def sample(
        self, n: int, temperature: float, generator: torch.Generator | None, like: Tensor
    ) -> Tensor:
        """n unit vectors, shape (n, m)."""
        if temperature != 1:
            raise UnsupportedError(
                f"a uniform prior on the sphere has no spread to scale: temperature must be 1, "
                f"got {temperature}"
            )
        uniform = HypersphericalUniform(self.latent_dim - 1, device=like.device, dtype=like.dtype)
        return uniform.sample((n,), generator)
