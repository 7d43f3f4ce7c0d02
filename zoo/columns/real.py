"""Real numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, Normal

from zoo.columns.numbers import NumberColumns, scaled
from zoo.settings import Settings


class RealNumber(NumberColumns):
    """Normal values: p(x|z) = N(x; mean + std m(z), (std s(z))^2).

    The column's mean and std are those of the training split, so that networks see and make
    numbers of unit scale, and the density is that of x as given: in another unit, x' = a x, it is
    log a lower.

    >>> import torch
    >>> columns = (RealNumber([RealNumber.Config(mean=0.0, std=std)]) for std in (1.0, 1000.0))
    >>> metres, millimetres = (each.likelihood(torch.zeros(2)) for each in columns)
    >>> metres.log_prob(torch.tensor([2.0])) - millimetres.log_prob(torch.tensor([2000.0]))
    tensor([6.9078])
    """

    wanted = "finite numbers"

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], values: Sequence[str]) -> Settings:
        return cls.Config.parse(scaled(numbers), "real")

    @property
    def fill(self) -> list[float]:
        return [column.mean for column in self.columns]

    def on_scale(self, x: Tensor) -> Tensor:
        return x

    def likelihood(self, numbers: Tensor) -> Distribution:
        return Normal(*self.location_and_scale(numbers), validate_args=False)

    def typical(self, p: Distribution) -> Tensor:
        return p.mean
