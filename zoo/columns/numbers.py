"""What kinds of numbers share: two numbers of the decoder, one feature of unit scale."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from zoo.columns.base import ColumnKind
from zoo.distributions.precision import full_precision
from zoo.settings import Settings

MIN_SCALE = 0.03
"""The least deviation, in the column's own: values that repeat would else be infinitely dense."""
FARTHEST = 10.0
"""How many deviations from the column's mean a mean may be: what keeps exponentials finite."""


class Scaled(Settings):
    """Mean and deviation of a column of the training split, on the scale of its kind."""

    mean: float
    std: float = Field(gt=0)


def scaled(numbers: NDArray[np.float64]) -> dict[str, float]:
    """Mean and deviation of numbers (n,) as settings."""
    return {"mean": float(numbers.mean()), "std": float(numbers.std())}


class NumberColumns(ColumnKind):
    """Columns that are standardised on a scale of their kind."""

    Config = Scaled

    @property
    def numbers(self) -> int:
        return 2 * len(self.columns)

    @property
    def owners(self) -> list[int]:
        return list(range(len(self.columns)))

    @abstractmethod
    def on_scale(self, x: Tensor) -> Tensor:
        """x (..., d) on the scale on which the columns are standardised."""

    def features(self, x: Tensor) -> Tensor:
        return (self.on_scale(x) - self.constants("mean", x)) / self.constants("std", x)

    def located(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Where values are on that scale, (..., d), and the decoder's other numbers as they are."""
        place, others = full_precision(numbers).chunk(2, dim=-1)  # (..., d) each
        place = FARTHEST * (place / FARTHEST).tanh()
        return self.constants("mean", place) + self.constants("std", place) * place, others

    def location_and_scale(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation on that scale, (..., d) each."""
        location, raw = self.located(numbers)
        return location, self.constants("std", raw) * (softplus(raw) + MIN_SCALE)

    def possible(self, x: Tensor) -> Tensor:
        return torch.isfinite(x)
