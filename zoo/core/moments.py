"""Means and deviations of codes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class LatentMoments(NamedTuple):
    """Of each coordinate of codes z ~ q(z|x) over examples x: what a model of codes scales them by.

    On the CPU in float32. A coordinate that is the same for all examples is shifted alone.

    >>> moments = LatentMoments(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]))
    >>> moments.standardized(torch.tensor([[3.0, 0.5]])).tolist()
    [[1.0, 0.5]]
    >>> moments.restored(torch.tensor([[1.0, 0.5]])).tolist()
    [[3.0, 0.5]]
    """

    mean: Tensor  # (D,)
    deviation: Tensor  # (D,), the standard one

    def standardized(self, z: Tensor) -> Tensor:
        """(z - mean) / deviation of codes (..., D), in their type and on their device."""
        return (z - self.mean.to(z)) / self._scale.to(z)

    def restored(self, z: Tensor) -> Tensor:
        """The codes (..., D) whose :meth:`standardized` ones are ``z``."""
        return z * self._scale.to(z) + self.mean.to(z)

    @property
    def _scale(self) -> Tensor:
        return torch.where(self.deviation > 0, self.deviation, 1)


class Moments:
    """Mean and variance of vectors that arrive in batches, in float64 and constant memory.

    Batches are merged by Chan et al.'s rule, so a large mean does not swamp a small variance.

    >>> moments = Moments()
    >>> for batch in torch.tensor([[0.0], [2.0], [4.0]]).split(2):
    ...     moments.update(batch)
    >>> moments.mean.tolist(), moments.variance.tolist()
    ([2.0], [4.0])
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, dtype=torch.float64)

    def update(self, batch: Tensor) -> None:
        """Add the rows of ``batch``, shape (B, D)."""
        rows = batch.detach().cpu().double()
        mean = rows.mean(0)  # (D,)
        scatter = (rows - mean).square().sum(0)  # (D,)
        if self.count == 0:
            self.count, self.mean, self._scatter = len(rows), mean, scatter
            return
        total = self.count + len(rows)
        shift = mean - self.mean
        self._scatter += scatter + shift.square() * (self.count * len(rows) / total)
        self.mean = self.mean + shift * (len(rows) / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """The unbiased variance of each column, shape (D,); 0 of a single row."""
        return self._scatter / max(self.count - 1, 1)
