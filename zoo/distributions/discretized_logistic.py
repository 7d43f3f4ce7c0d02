"""The logistic distribution binned to 8-bit intensities."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid, softplus

LEVELS = 256
WIDE = 5.0
"""The log_scale from which on the whole range is narrow against the scale."""


class DiscretizedLogistic(Distribution):
    r"""A probability mass on the intensities 0, 1/255, ..., 1 (Salimans et al. 2017, PixelCNN++).

    The mass of x is the logistic mass of its bin, F((x + h - loc) / scale) - F((x - h - loc) /
    scale) with F the sigmoid and h = 1/510; the bins of 0 and 1 reach to minus and plus infinity,
    so the 256 masses sum to one. ``log_scale`` is bounded below by -7, a quarter of a bin's width.

    >>> d = DiscretizedLogistic(torch.tensor(0.5), torch.tensor(-2.0))
    >>> round(d.log_prob(torch.arange(256) / 255).exp().sum().item(), 4)
    1.0
    """

    arg_constraints = {"loc": constraints.real, "log_scale": constraints.real}
    has_rsample = False

    def __init__(self, loc: Tensor, log_scale: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.log_scale = broadcast_all(loc, log_scale.clamp(min=-7.0))
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        """Intensities from 0 to 1."""
        return constraints.unit_interval

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiscretizedLogistic:
        """The same distribution over a larger batch shape."""
        return DiscretizedLogistic(
            self.loc.expand(batch_shape), self.log_scale.expand(batch_shape), self._validate_args
        )

    @property
    def mean(self) -> Tensor:
        """The mean of the logistic clipped to [0, 1]: within half a step, 1/510, of the exact one.

        The mass beyond the ends pulls it inwards: ``loc`` itself may be far off.
        """
        scale = self.log_scale.clamp(max=WIDE).exp()
        past_0, past_1 = self.loc.abs() / scale, (self.loc - 1).abs() / scale
        narrow = self.loc.clamp(0, 1) + scale * (softplus(-past_0) - softplus(-past_1))
        # Wider, the difference of the two is lost to rounding, but F is straight from 0 to 1.
        wide = torch.sigmoid((self.loc - 0.5) * torch.exp(-self.log_scale))
        return torch.where(self.log_scale < WIDE, narrow, wide)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log mass of the bin around ``value``, one of the 256 intensities; never -inf.

        With a = (x - h - loc)/scale and b = (x + h - loc)/scale the mass is
        F(b) F(-a) (1 - exp(a - b)): a product, so nothing cancels in the tails.
        """
        if self._validate_args:
            self._validate_sample(value)
        half_bin = 0.5 / (LEVELS - 1)
        inverse_scale = torch.exp(-self.log_scale)
        centred = value - self.loc
        lower, upper = (centred - half_bin) * inverse_scale, (centred + half_bin) * inverse_scale
        # log(1 - exp(-width)) with log(width) taken out: however wide, log_scale keeps its pull.
        width = (2 * half_bin * inverse_scale).clamp(min=1e-30)
        share = torch.log(-torch.expm1(-width) / width) + math.log(2 * half_bin) - self.log_scale
        below_upper, above_lower = logsigmoid(upper), logsigmoid(-lower)
        inner = below_upper + above_lower + share
        first, last = value < half_bin, value > 1 - half_bin
        return torch.where(first, below_upper, torch.where(last, above_lower, inner))

    def quantile(self, uniform: Tensor) -> Tensor:
        """Where the logistic has the share ``uniform`` of its mass below it, clipped to [0, 1]."""
        tiny = torch.finfo(self.loc.dtype).eps
        uniform = uniform.clamp(tiny, 1 - tiny)
        scale = self.log_scale.clamp(max=80).exp()  # finite in float32
        return (self.loc + scale * (uniform.log() - torch.log1p(-uniform))).clamp(0, 1)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws among 0, 1/255, ..., 1."""
        shape = self._extended_shape(torch.Size(sample_shape))
        uniform = torch.rand(shape, device=self.loc.device, dtype=self.loc.dtype)
        return nearest_level(self.quantile(uniform))


def nearest_level(intensity: Tensor) -> Tensor:
    """Intensities in [0, 1] rounded to 0, 1/255, ..., 1."""
    return (intensity * (LEVELS - 1)).round() / (LEVELS - 1)
