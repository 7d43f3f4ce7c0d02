"""Categories."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from zoo.columns.base import constant
from zoo.columns.values import ValueColumns, beyond, padded
from zoo.distributions.precision import full_precision


class Category(ValueColumns):
    """One of K values without an order: p(x = k|z) is the softmax of K logits; a mass.

    The encoder sees a vector of K numbers, 1 at x.

    >>> column = Category([Category.Config(values=("red", "green", "blue"))])
    >>> column.features(torch.tensor([1.0]))
    tensor([0., 1., 0.])
    >>> column.likelihood(torch.zeros(3)).log_prob(torch.tensor([2.0])).exp()
    tensor([0.3333])
    """

    @property
    def numbers(self) -> int:
        return sum(self.sizes)

    @property
    def owners(self) -> list[int]:
        return [n for n, size in enumerate(self.sizes) for _ in range(size)]

    def features(self, x: Tensor) -> Tensor:
        values = [value for size in self.sizes for value in range(size)]
        return (x[..., self.owners] == constant(values, x)).to(x.dtype)

    def likelihood(self, numbers: Tensor) -> Distribution:
        logits = padded(full_precision(numbers), self.sizes)  # (..., d, most)
        possible = logits.masked_fill(beyond(self.sizes, logits, logits.shape[-1]), -torch.inf)
        return Categorical(logits=possible, validate_args=False)

    def typical(self, p: Distribution) -> Tensor:
        """The most probable value."""
        return p.mode.to(cast("Categorical", p).logits.dtype)
