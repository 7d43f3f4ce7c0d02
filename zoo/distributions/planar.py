"""Planar maps (Rezende & Mohamed 2015, arXiv:1505.05770)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

SHIFT = math.log(math.e - 1)
"""Where softplus is 1."""
MIN_SLOPE = 1e-4
"""Below it too little of a point would be left to find it again."""
BISECTIONS = 60
"""Halvings of an interval: all digits of single precision, and most of double."""


class Planar:
    r"""f(z) = z + v tanh(w . z + b), with log |det| = log(1 + (w . v) (1 - tanh^2)).

    It is invertible iff w . v > -1, so v is u moved along w until w . v = m(w . u) for a monotonic
    m > -1 (appendix A.1): u + (m(w . u) - w . u) w / |w|^2. The paper's m(x) = softplus(x) - 1 is
    not 0 at 0, so that v grows without bound as w vanishes. Here m(x) = softplus(x + c) - 1 with
    softplus(c) = 1, which is, and m is held above -1 + 1e-4. ``u``, ``w`` are (..., D), ``b`` is
    (..., 1).

    >>> u, w, b = torch.randn(3, 5, 2).split(1)
    >>> planar = Planar(u[0], w[0], b[0, :, :1])
    >>> image, log_det = planar.map(torch.ones(5, 2))
    >>> torch.allclose(planar.inverse(image)[0], torch.ones(5, 2), atol=1e-3)
    True
    """

    def __init__(self, u: Tensor, w: Tensor, b: Tensor) -> None:
        along = (w * u).sum(-1, keepdim=True)  # (..., 1)
        self.least = softplus(along + SHIFT).clamp(min=MIN_SLOPE)  # 1 + w . v, the slope at tanh 0
        self.product = self.least - 1
        length = w.square().sum(-1, keepdim=True)  # (..., 1)
        tiny = torch.finfo(w.dtype).tiny
        self.v = u + (self.product - along) * w / (length + tiny)
        self.w, self.b = w, b

    def map(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Images (..., D) and the log-determinant (...)."""
        bent = ((self.w * z).sum(-1, keepdim=True) + self.b).tanh()  # (..., 1)
        return z + self.v * bent, self._log_det(bent)

    def inverse(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The points (..., D) whose images these are, and the inverse's log-determinant (...).

        a = w . z is the root of the monotonic a + (w . v) tanh(a + b) = w . f(z): found by
        bisection without a graph, and then by a step of Newton's, which has the root's derivatives.
        """
        target = (self.w * image).sum(-1, keepdim=True)  # (..., 1)
        near = self._bisected(target.detach())
        bent = (near + self.b).tanh()
        root = near + (target - near - self.product * bent) / self._slope(bent).detach()
        bent = (root + self.b).tanh()
        return image - self.v * bent, -self._log_det(bent)

    def _log_det(self, bent: Tensor) -> Tensor:
        return self._slope(bent).log().squeeze(-1)  # (...)

    def _slope(self, bent: Tensor) -> Tensor:
        """1 + (w . v) (1 - tanh^2), without a difference of nearly equal numbers."""
        return torch.lerp(self.least, torch.ones_like(bent), bent.square())

    @torch.no_grad()
    def _bisected(self, target: Tensor) -> Tensor:
        reach = self.product.abs()
        low, high = target - reach, target + reach
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            above = middle + self.product * (middle + self.b).tanh() > target
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2
