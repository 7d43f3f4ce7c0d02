"""What a kind of column is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.component import Component
from zoo.settings import Settings


class ColumnKind(Component, ABC):
    """The d columns of one kind that a table has: what an encoder sees of them, and p(x|z).

    A subclass is made as ``Kind(columns)``, of a ``Config`` for each column: what was learned of it
    from the training split. Values x (..., d) are in the units of the data, so log p(x|z) is that
    of the data as they were given.
    """

    section = "columns"
    has_values: ClassVar[bool] = False
    """Whether x numbers the ``values`` of its Config, from 0; otherwise x is the number itself."""
    wanted: ClassVar[str]
    """What values have to be, in words."""

    def __init__(self, columns: Sequence[Any]) -> None:
        self.columns = columns

    @classmethod
    @abstractmethod
    def fit(cls, numbers: NDArray[np.float64], values: Sequence[str]) -> Settings:
        """What is learned of one column: of its observed ``numbers`` (n,), and of its ``values``.

        Of a kind that has values, the numbers number these. Raises ConfigError.
        """

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many numbers a decoder makes for all columns together."""

    @property
    @abstractmethod
    def owners(self) -> list[int]:
        """For each of the F features, which column it is of, from 0."""

    @property
    @abstractmethod
    def fill(self) -> list[float]:
        """A value that each column could have: what stands where one is missing."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """What an encoder sees of values (..., d): numbers of unit scale, (..., F)."""

    @abstractmethod
    def likelihood(self, numbers: Tensor) -> Distribution:
        """p(x|z) of each column, batch shape (..., d), of a decoder's numbers (..., N)."""

    @abstractmethod
    def typical(self, p: Distribution) -> Tensor:
        """One value (..., d) for each column of p(x|z): its mean, median or mode."""

    def best_guess(self, draws: Tensor, means: Tensor) -> Tensor:
        """One value (..., d) for many draws of it (S, ..., d), and what is typical of each."""
        return draws.mode(0).values if self.has_values else means.mean(0)

    @abstractmethod
    def possible(self, x: Tensor) -> Tensor:
        """Whether values (..., d) are such as the columns may have."""

    def constants(self, name: str, like: Tensor) -> Tensor:
        """A setting of each column, (d,)."""
        return constant([getattr(column, name) for column in self.columns], like)


def constant(values: Sequence[Any], like: Tensor) -> Tensor:
    """Numbers as a tensor of the type and on the device of another."""
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def is_whole(x: Tensor, low: float, high: Tensor | float) -> Tensor:
    """Where x holds whole numbers from ``low`` to ``high``, both included."""
    return (x >= low) & (x <= torch.as_tensor(high, device=x.device)) & (x == x.round())
