"""Rotary positions on one or several axes (Su et al. 2021, arXiv:2104.09864)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROTARY_BASE = 10_000.0


class Rotary(NamedTuple):
    """Cosines and sines (T, D / 2) of the angles by which T positions rotate D numbers in pairs."""

    cos: Tensor
    sin: Tensor

    def rotate(self, x: Tensor) -> Tensor:
        """Vectors (..., T, D), number i paired with number i + D / 2."""
        first, second = x.chunk(2, dim=-1)  # (..., T, D / 2) each
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def at(self, start: int, stop: int) -> Rotary:
        """That of the positions ``start`` to ``stop``."""
        return Rotary(self.cos[start:stop], self.sin[start:stop])

    def repeat_first(self) -> Rotary:
        """With the first position once more, in front."""
        return Rotary(torch.cat([self.cos[:1], self.cos]), torch.cat([self.sin[:1], self.sin]))


def rotary(positions: Tensor, width: int) -> Rotary:
    """Of positions (T, A) on A axes, for vectors of ``width`` D, a multiple of 2 A.

    Products of rotated vectors depend on differences of positions alone. Each axis rotates its
    share of the pairs: pair i of n by the position times 10,000^(-i / n).

    >>> angles = rotary(torch.tensor([[0.0], [1.0], [5.0], [6.0]]), 8)
    >>> q, k = angles.rotate(torch.ones(4, 8)), angles.rotate(torch.arange(8.0).expand(4, 8))
    >>> torch.allclose(q[1] @ k[0], q[3] @ k[2])
    True
    """
    pairs = width // (2 * positions.shape[-1])
    steps = torch.arange(pairs, dtype=positions.dtype, device=positions.device)
    angles = (positions[..., None] * ROTARY_BASE ** (-steps / pairs)).flatten(-2)  # (T, D / 2)
    return Rotary(angles.cos(), angles.sin())
