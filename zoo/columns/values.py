"""What kinds share whose columns have one of a few named values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from zoo.columns.base import ColumnKind, constant, is_whole
from zoo.settings import Settings

MOST_VALUES = 1000
"""Of one column: texts of more than so many values name rows, and say little of others."""


class Values(Settings):
    """The values of a column by their names, in their order."""

    values: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_VALUES)]

    @field_validator("values")
    @classmethod
    def _differ(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(values)) < len(values) or "" in values:
            raise ValueError("values differ from each other, and none is empty")
        return values


class ValueColumns(ColumnKind):
    """Columns of values 0, 1, ..., each K of its own, which have names."""

    Config = Values
    has_values = True
    wanted = "the numbers of its values"

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], values: Sequence[str]) -> Settings:
        return cls.Config.parse({"values": tuple(values)}, "values")

    @property
    def sizes(self) -> list[int]:
        """K of each column."""
        return [len(column.values) for column in self.columns]

    @property
    def fill(self) -> list[float]:
        return [0.0] * len(self.columns)

    def possible(self, x: Tensor) -> Tensor:
        return is_whole(x, 0, constant(self.sizes, x) - 1)


def padded(numbers: Tensor, sizes: Sequence[int]) -> Tensor:
    """Numbers (..., sum of sizes) of columns as (..., d, most), those past a column's own repeated.

    >>> padded(torch.tensor([1.0, 2.0, 3.0]), [1, 2])
    tensor([[1., 1.],
            [2., 3.]])
    """
    starts = [0, *accumulate(sizes)]
    places = [
        [start + min(place, size - 1) for place in range(max(sizes))]
        for start, size in zip(starts, sizes, strict=False)
    ]
    return numbers[..., torch.tensor(places, device=numbers.device)]  # (..., d, most)


def beyond(sizes: Sequence[int], like: Tensor, most: int) -> Tensor:
    """Which of (d, most) places lie past a column's own values."""
    places = torch.arange(most, device=like.device)
    return places >= torch.tensor(sizes, device=like.device)[:, None]
