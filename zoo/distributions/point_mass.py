"""A distribution that is certain of its value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class PointMass(Distribution):
    """All mass at ``value`` (..., D), batch shape (...): log p is 0 there and -inf elsewhere.

    >>> PointMass(torch.tensor([1.0, 2.0])).log_prob(torch.tensor([[1.0, 2.0], [1.0, 3.0]]))
    tensor([0., -inf])
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, value: Tensor) -> None:
        self.value = value
        super().__init__(value.shape[:-1], value.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The value."""
        return self.value

    @property
    def variance(self) -> Tensor:
        """0."""
        return torch.zeros_like(self.value)

    def log_prob(self, value: Tensor) -> Tensor:
        """Of values (..., D) that broadcast: (...)."""
        is_there = (value == self.value).all(-1)  # (...)
        nothing = self.value.new_zeros(is_there.shape)
        return nothing.masked_fill(~is_there, -torch.inf)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Copies of the value."""
        return self.value.expand(torch.Size(sample_shape) + self.value.shape)

    def entropy(self) -> Tensor:
        """0."""
        return self.value.new_zeros(self.batch_shape)
