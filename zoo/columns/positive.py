"""Positive real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.distributions import AffineTransform, Distribution, ExpTransform, Normal
from torch.distributions import TransformedDistribution as Transformed

from zoo.columns.numbers import NumberColumns, Scaled, scaled
from zoo.errors import ConfigError
from zoo.settings import Settings


class _Shifted(Transformed):
    """exp(y) - offset of a normal y, of which draws below 0, as no data are, are 0."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn: Tensor = super().sample(sample_shape)  # type: ignore[no-untyped-call]
        return drawn.clamp(min=0)


class Positive(NumberColumns):
    """Log-normal values: log(x + offset) is normal, its deviation that of the decoder.

    The density is that of x, with the Jacobian 1 / (x + offset). ``offset`` is 0 where all numbers
    are positive, and the least positive number where some are 0: then it grows with the unit, and
    with it the density changes as any other's. Draws below 0 are 0.

    >>> column = Positive([Positive.Config(mean=0.0, std=1.0)])
    >>> column.typical(column.likelihood(torch.zeros(2)))
    tensor([1.])
    """

    wanted = "finite numbers of at least 0, and above 0 where the training has no 0"

    class Config(Scaled):
        """Mean and deviation of log(x + offset)."""

        offset: float = Field(0.0, ge=0)

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], values: Sequence[str]) -> Settings:
        positive = numbers[numbers > 0]
        if not len(positive) or numbers.min() < 0:
            raise ConfigError(
                f"positive numbers are at least 0, got {numbers.min():g}; choose the kind 'real'"
            )
        offset = 0.0 if numbers.min() > 0 else float(positive.min())
        return cls.Config.parse({**scaled(np.log(numbers + offset)), "offset": offset}, "positive")

    @property
    def fill(self) -> list[float]:
        return [float(np.exp(column.mean) - column.offset) for column in self.columns]

    def on_scale(self, x: Tensor) -> Tensor:
        return (x + self.constants("offset", x)).log()

    def likelihood(self, numbers: Tensor) -> Distribution:
        normal = Normal(*self.location_and_scale(numbers), validate_args=False)
        shift = AffineTransform(-self.constants("offset", normal.loc), 1.0)
        return _Shifted(normal, [ExpTransform(), shift], validate_args=False)

    def typical(self, p: Distribution) -> Tensor:
        """The median: a mean hangs on the upper tail, of which data say little."""
        normal = cast("Normal", cast("Transformed", p).base_dist)
        return (normal.loc.exp() - self.constants("offset", normal.loc)).clamp(min=0)

    def possible(self, x: Tensor) -> Tensor:
        return torch.isfinite(x) & (x > -self.constants("offset", x)) & (x >= 0)
