"""Normalising flows on maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, silu

from zoo.distributions.precision import full_precision
from zoo.nn.cells import nearly_zero

VIEW = 5
"""Side of the square around a position in which earlier positions are seen."""


class InverseAutoregressiveFlow(nn.Module):
    """z -> exp(s) z + t, where s and t at a position see the positions before it alone.

    Inverse autoregressive flow (Kingma et al. 2016, arXiv:1606.04934) over the rows of a map, read
    backwards where ``backwards``. All positions are transformed at once, and the log-determinant
    is the sum of s, |s| < 1. Starts close to the identity.
    """

    def __init__(self, channels: int, context: int, hidden: int, backwards: bool) -> None:
        super().__init__()
        self.backwards = backwards
        earlier = VIEW * VIEW // 2
        bound = (channels * earlier) ** -0.5
        self.taps = nn.Parameter(torch.empty(hidden, channels, earlier).uniform_(-bound, bound))
        self.context = nn.Conv2d(context, hidden, 1)
        self.to_parameters = nearly_zero(nn.Conv2d(hidden, 2 * channels, 1))

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Transformed maps (B, L, H, W) and the log-determinant (B,)."""
        hidden = conv2d(z, self._kernel(), padding=VIEW // 2) + self.context(context)
        shift, log_scale = full_precision(self.to_parameters(silu(hidden))).chunk(2, dim=1)
        log_scale = log_scale.tanh()
        return torch.addcmul(shift, log_scale.exp(), z), log_scale.flatten(1).sum(1)

    def _kernel(self) -> Tensor:
        """The taps as a square whose middle and later positions are 0."""
        rest = VIEW * VIEW - self.taps.shape[-1]
        square = pad(self.taps, (rest, 0) if self.backwards else (0, rest))
        return square.view(*self.taps.shape[:2], VIEW, VIEW)
