"""Values with an order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torch.nn.functional import logsigmoid, softplus

from zoo.columns.base import constant
from zoo.columns.values import MOST_VALUES, ValueColumns, Values, beyond, padded
from zoo.distributions.precision import full_precision

LEAST_STEP = 1e-3
"""Between thresholds: no value is impossible."""


class Ordinal(ValueColumns):
    r"""One of K ordered values: p(x <= k|z) = sigmoid(c_k(z)) with c_0 < ... < c_(K-2); a mass.

    The thresholds are the cumulative logits of McCullagh 1980; a decoder makes the first and the
    steps between them, which start where all values are as probable. The encoder sees a
    thermometer: K - 1 numbers, 1 for each value that x is above.

    >>> column = Ordinal([Ordinal.Config(values=("low", "middle", "high"))])
    >>> column.features(torch.tensor([1.0]))
    tensor([1., 0.])
    >>> column.likelihood(torch.zeros(2)).probs.allclose(torch.full((3,), 1 / 3), atol=1e-3)
    True
    """

    class Config(Values):
        """The values, the lowest first."""

        values: Annotated[tuple[str, ...], Field(min_length=2, max_length=MOST_VALUES)]

    @property
    def steps(self) -> list[int]:
        """K - 1 of each column."""
        return [size - 1 for size in self.sizes]

    @property
    def numbers(self) -> int:
        return sum(self.steps)

    @property
    def owners(self) -> list[int]:
        return [n for n, steps in enumerate(self.steps) for _ in range(steps)]

    def features(self, x: Tensor) -> Tensor:
        values = [value for steps in self.steps for value in range(steps)]
        return (x[..., self.owners] > constant(values, x)).to(x.dtype)

    def likelihood(self, numbers: Tensor) -> Distribution:
        raw = padded(full_precision(numbers), self.steps)  # (..., d, most steps)
        raw = raw + constant([_start(size, raw.shape[-1]) for size in self.sizes], raw)
        steps = LEAST_STEP + softplus(raw[..., 1:])  # (..., d, most steps - 1)
        thresholds = torch.cat([raw[..., :1], steps], dim=-1).cumsum(-1)  # (..., d, most steps)
        logits = _log_masses(thresholds, steps, self.sizes)  # (..., d, most values)
        return Categorical(logits=logits, validate_args=False)

    def typical(self, p: Distribution) -> Tensor:
        """The most probable value."""
        return p.mode.to(cast("Categorical", p).logits.dtype)


def _start(size: int, most: int) -> list[float]:
    """What is added to a decoder's numbers (most,), so that zeros give K values one mass."""
    thresholds = [math.log(below / (size - below)) for below in range(1, size)]
    steps = [after - before - LEAST_STEP for before, after in pairwise(thresholds)]
    start = [thresholds[0], *(math.log(math.expm1(step)) for step in steps)]  # softplus inverted
    return start + [0.0] * (most - len(start))


def _log_masses(thresholds: Tensor, steps: Tensor, sizes: Sequence[int]) -> Tensor:
    """log p(x = k), of thresholds (..., d, most) and the steps between them.

    With a = c_(k-1) and b = c_k, sigmoid(b) - sigmoid(a) is sigmoid(b) sigmoid(-a) (1 - exp(a-b)),
    in which nothing cancels.
    """
    none = torch.zeros_like(thresholds[..., :1])  # (..., d, 1)
    below = torch.cat([logsigmoid(thresholds), none], dim=-1)  # (..., d, most + 1)
    above = torch.cat([none, logsigmoid(-thresholds)], dim=-1)
    between = torch.cat([none, (-torch.expm1(-steps)).log(), none], dim=-1)  # (..., d, most + 1)
    highest = beyond([size - 1 for size in sizes], below, below.shape[-1])
    masses = above + torch.where(highest, 0, below + between)
    return masses.masked_fill(beyond(sizes, masses, masses.shape[-1]), -torch.inf)
