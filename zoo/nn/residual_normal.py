"""Normal posteriors of latent groups relative to their priors (NVAE, arXiv:2007.03898)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """Independent normals: mean and log sigma, (B, L, H, W) each."""

    mean: Tensor
    log_scale: Tensor

    def at(self, noise: Tensor) -> Tensor:
        """The point so many standard deviations from the mean."""
        return torch.addcmul(self.mean, self.log_scale.exp(), noise)


class Visit(NamedTuple):
    """What happened at a group: its prior N(mu, sigma^2), its posterior, and the draw z.

    The posterior is N(mu + shift, (sigma ratio)^2). With flows, z is the image of a draw from it,
    and ``log_det`` (B,) the log-determinant.
    """

    prior: Gaussian
    shift: Tensor
    log_ratio: Tensor
    noise: Tensor
    z: Tensor
    log_det: Tensor | None

    @property
    def log_weight(self) -> Tensor:
        """log p(z | above) - log q(z | above, x), shape (B,)."""
        if self.log_det is None:  # the difference z - mu would cancel
            from_prior = self._distance + self.log_ratio.exp() * self.noise
        else:
            from_prior = (self.z - self.prior.mean) * torch.exp(-self.prior.log_scale)
        terms = 0.5 * (self.noise.square() - from_prior.square()) + self.log_ratio
        weight = terms.flatten(1).sum(1)
        return weight if self.log_det is None else weight + self.log_det

    @property
    def kl(self) -> Tensor:
        """1/2 sum (shift^2 / sigma^2 + ratio^2 - log ratio^2 - 1), shape (B,).

        With flows there is no closed form: an unbiased estimate from the draw.
        """
        if self.log_det is not None:
            return -self.log_weight
        spread = torch.expm1(2 * self.log_ratio) - 2 * self.log_ratio
        return 0.5 * (self._distance.square() + spread).flatten(1).sum(1)

    @property
    def _distance(self) -> Tensor:
        return self.shift * torch.exp(-self.prior.log_scale)
