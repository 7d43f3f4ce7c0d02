"""Normals that keep their log-scale, and normals relative to these (NVAE, arXiv:2007.03898)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, Normal


class DiagonalNormal(Independent):  # type: ignore[type-arg]
    """N(mean, diag exp(log_scale)^2) over the last dimension, (..., D) both.

    >>> DiagonalNormal(torch.zeros(5, 2), torch.ones(5, 2)).at(torch.ones(2))[0]
    tensor([2.7183, 2.7183])
    """

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        self.log_scale = log_scale
        normal = Normal(mean, log_scale.exp(), validate_args=False)
        super().__init__(normal, 1, validate_args=False)

    def at(self, noise: Tensor) -> Tensor:
        """The point so many standard deviations from the mean."""
        return torch.addcmul(self.mean, self.base_dist.scale, noise)

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiagonalNormal:
        """The same normals for a larger batch."""
        shape = torch.Size([*batch_shape, *self.event_shape])
        return DiagonalNormal(self.mean.expand(shape), self.log_scale.expand(shape))


class ResidualNormal(DiagonalNormal):
    """N(mu + shift, (sigma ratio)^2) relative to a normal N(mu, sigma^2), (..., D) all.

    >>> prior = DiagonalNormal(torch.ones(2), torch.zeros(2))
    >>> ResidualNormal(prior.mean, prior.log_scale, torch.ones(2), torch.zeros(2)).mean
    tensor([2., 2.])
    """

    def __init__(self, mean: Tensor, log_scale: Tensor, shift: Tensor, log_ratio: Tensor) -> None:
        super().__init__(mean + shift, log_scale + log_ratio)
        self.shift, self.log_ratio = shift, log_ratio
        self.distance = shift * torch.exp(-log_scale)
        """Of the two means, in standard deviations of the other normal."""
