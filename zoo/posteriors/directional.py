"""What posteriors around a direction, with a concentration for each example, share."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import normalize

from zoo.core.latent_space import Sphere
from zoo.distributions.power_spherical import PowerSpherical
from zoo.distributions.precision import full_precision
from zoo.distributions.von_mises_fisher import VonMisesFisher
from zoo.posteriors.base import Posterior, Projection
from zoo.settings import Settings

MIN_CONCENTRATION = 1.0
"""Davidson et al.'s (2018)."""
MAX_LOG_CONCENTRATION = math.log(1e7)


def direction_and_concentration(projected: Tensor) -> tuple[Tensor, Tensor]:
    """(..., m + 1) numbers to a unit vector (..., m) and a concentration exp(.) + 1, (..., 1).

    Davidson et al. use softplus(.) + 1. A concentration of several hundred, as MNIST needs, then
    takes features of that size.
    """
    projected = full_precision(projected)
    direction, log_scale = torch.split(projected, [projected.shape[-1] - 1, 1], dim=-1)
    scale = log_scale.clamp(max=MAX_LOG_CONCENTRATION).exp() + MIN_CONCENTRATION
    return normalize(direction, dim=-1), scale


class Directional(Posterior):
    """Of one ``family``, around mu(x) with a concentration exp(.) + 1 for each x."""

    space = Sphere
    family: ClassVar[type[VonMisesFisher] | type[PowerSpherical]]

    def __init__(self, config: Settings, project: Projection, dim: int) -> None:
        super().__init__()
        self.projection = project(dim + 1)

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        loc, scale = direction_and_concentration(self.projection(features))
        return self.family(loc, scale, validate_args=False)
