"""Positive real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, LogNormal, Normal, constraints
from torch.nn.functional import logsigmoid

from zoo.columns.base import constant
from zoo.columns.numbers import NumberColumns, Scaled, scaled
from zoo.distributions.directional import as_size
from zoo.errors import ConfigError
from zoo.settings import Settings

NEVER = -1e4
"""The logit of what does not happen."""
TAIL = 4.0
"""Deviations of log x, within which a value can be of the training."""


class Positive(NumberColumns):
    """Log-normal values: log x is normal, and its density that of x, with the Jacobian 1 / x.

    Of a column in which some are 0 these have a mass of their own: p(0) = sigmoid(logit(z)), and
    the log-normal counts (1 - p(0)) times. A normal that is to meet them, as well as numbers far
    off, would become a spike whose gradients drown all others.

    >>> column = Positive([Positive.Config(mean=0.0, std=1.0, zeros=True)])
    >>> column.likelihood(torch.zeros(3)).log_prob(torch.tensor([0.0])).exp()
    tensor([0.5000])
    """

    wanted = "finite numbers above 0, or 0 where the training has 0"

    class Config(Scaled):
        """Mean and deviation of log x, and whether some x are 0."""

        zeros: bool = False

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], values: Sequence[str]) -> Settings:
        positive = numbers[numbers > 0]
        if len(np.unique(positive)) < 2 or numbers.min() < 0:
            raise ConfigError(
                f"positive numbers are at least 0, and differ where they are not, got "
                f"{numbers.min():g} to {numbers.max():g}; choose the kind 'real'"
            )
        found = {**scaled(np.log(positive)), "zeros": len(positive) < len(numbers)}
        return cls.Config.parse(found, "positive")

    @property
    def with_zeros(self) -> list[int]:
        """The columns that have zeros."""
        return [place for place, column in enumerate(self.columns) if column.zeros]

    @property
    def numbers(self) -> int:
        return 2 * len(self.columns) + len(self.with_zeros)

    @property
    def owners(self) -> list[int]:
        # Said anew: torch.compile finds no property of super().
        return [*range(len(self.columns)), *self.with_zeros]

    @property
    def fill(self) -> list[float]:
        return [float(np.exp(column.mean)) for column in self.columns]

    def on_scale(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, constant(self.fill, x)).log()

    def features(self, x: Tensor) -> Tensor:
        """Numbers of unit scale, 0 for a 0; and of columns that have such, whether x is one."""
        zeros = (x[..., self.with_zeros] == 0).to(x.dtype)
        return torch.cat([super().features(x), zeros], dim=-1)  # (..., F)

    def likelihood(self, numbers: Tensor) -> Distribution:
        sizes = [2 * len(self.columns), len(self.with_zeros)]
        of_normal, logits = torch.split(numbers, sizes, dim=-1)
        loc, scale = self.location_and_scale(of_normal)
        never = torch.full_like(loc[..., :1], NEVER)  # (..., 1)
        ranks = {place: rank for rank, place in enumerate(self.with_zeros)}
        places = [ranks.get(place, -1) for place in range(len(self.columns))]  # -1: never
        return LogNormalOrZero(loc, scale, torch.cat([logits.to(loc), never], dim=-1)[..., places])

    def typical(self, p: Distribution) -> Tensor:
        """The median: a mean hangs on the upper tail, of which data say little."""
        return cast("LogNormalOrZero", p).median

    def best_guess(self, draws: Tensor, means: Tensor) -> Tensor:
        """The mean of the draws, each at most ``TAIL`` deviations above the column's mean.

        It is best in squares, as of other numbers; of all draws one far up would be most of it.
        """
        most = self.constants("mean", draws) + TAIL * self.constants("std", draws)
        return draws.clamp(max=most.exp()).mean(0)  # (..., d)

    def possible(self, x: Tensor) -> Tensor:
        zeros = constant([float(column.zeros) for column in self.columns], x) > 0
        return torch.isfinite(x) & ((x > 0) | (zeros & (x == 0)))


class LogNormalOrZero(Distribution):
    """0 with probability sigmoid(logit), else log-normal; over numbers, parameters (...)."""

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, loc: Tensor, scale: Tensor, logits: Tensor) -> None:
        self.positive = LogNormal(loc, scale, validate_args=False)
        self.logits = logits
        super().__init__(loc.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(0), or log (1 - p(0)) and the log-normal's density."""
        is_zero = value == 0
        density: Tensor = self.positive.log_prob(torch.where(is_zero, 1, value))  # type: ignore[no-untyped-call]
        return torch.where(is_zero, logsigmoid(self.logits), logsigmoid(-self.logits) + density)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws (*sample_shape, ...), finite: what no number can hold is the largest one."""
        drawn: Tensor = self.positive.sample(as_size(sample_shape))  # type: ignore[no-untyped-call]
        drawn = drawn.clamp(max=torch.finfo(drawn.dtype).max)
        zero = torch.rand_like(drawn) < self.logits.sigmoid()
        return torch.where(zero, 0, drawn)

    @property
    def median(self) -> Tensor:
        """Where half of the probability lies below, (...)."""
        zero = self.logits.sigmoid()
        share = ((0.5 - zero) / (1 - zero)).clamp(min=1e-6)  # of the log-normal
        normal = Normal(self.positive.loc, self.positive.scale, validate_args=False)
        median: Tensor = normal.icdf(share).exp()  # type: ignore[no-untyped-call]
        return torch.where(zero < 0.5, median, 0)
