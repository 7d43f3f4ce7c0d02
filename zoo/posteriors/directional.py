"""What posteriors around a direction share."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from zoo.distributions.precision import full_precision

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
