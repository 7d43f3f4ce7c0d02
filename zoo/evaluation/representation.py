"""What a model's codes are used for, from their statistics over a dataset."""

from __future__ import annotations

import torch
from torch import Tensor

ACTIVE_THRESHOLD = 0.01
"""Burda et al.'s: a dimension is active when Var_x(E[z|x]) exceeds it."""


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
        mean = rows.mean(0)
        scatter = (rows - mean).square().sum(0)
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
        """The unbiased variance of each column, shape (D,)."""
        return self._scatter / (self.count - 1)


def active_units(variance: Tensor, threshold: float = ACTIVE_THRESHOLD) -> int:
    """How many dimensions of the code vary over the data by more than ``threshold``.

    ``variance`` is Var_x(E[z|x]), shape (D,). The threshold is meant for a prior of unit variance.
    On a sphere the code is a mean direction, of unit length however vague the posterior, so there
    the count says which axes are used and not how much information they carry.

    >>> active_units(torch.tensor([0.9, 0.0101, 0.01, 0.0]))
    2
    """
    return int((variance > threshold).sum())
