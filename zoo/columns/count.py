"""Numbers of things."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, NegativeBinomial

from zoo.columns.base import is_whole
from zoo.columns.numbers import FARTHEST, NumberColumns, scaled
from zoo.distributions.precision import widen
from zoo.settings import Settings

MOST = 2**24
"""Up to which float32 holds every whole number."""
LOG_FAILURES = 2.0
"""Where log r starts: at a variance of m + m^2 / 7."""


class _Counts(NegativeBinomial):
    """Masses in the precision of the parameters, whatever that of the counts."""

    def log_prob(self, value: Tensor) -> Tensor:
        found: Tensor = super().log_prob(value.to(self.logits.dtype))  # type: ignore[no-untyped-call]
        return found


class Count(NumberColumns):
    """Negative binomial values of mean m(z) and variance m + m^2 / r(z); a mass.

    The limit of large r is Poisson's, r is at most some 1,000. The encoder sees log(1 + x),
    standardised.

    >>> import torch
    >>> column = Count([Count.Config(mean=1.0, std=1.0)])
    >>> column.typical(column.likelihood(torch.zeros(2)))
    tensor([3.], dtype=torch.float64)
    """

    wanted = f"whole numbers from 0 to {MOST:,}"

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], values: Sequence[str]) -> Settings:
        return cls.Config.parse(scaled(np.log1p(numbers.clip(min=0))), "count")

    @property
    def fill(self) -> list[float]:
        return [float(np.rint(np.expm1(column.mean))) for column in self.columns]

    def on_scale(self, x: Tensor) -> Tensor:
        return x.log1p()

    def likelihood(self, numbers: Tensor) -> Distribution:
        log_mean, raw = (widen(part) for part in self.located(numbers))  # sums of lgamma cancel
        log_failures = LOG_FAILURES + FARTHEST / 2 * (2 * raw / FARTHEST).tanh()
        return _Counts(log_failures.exp(), logits=log_mean - log_failures, validate_args=False)

    def typical(self, p: Distribution) -> Tensor:
        """The mean, as a whole number."""
        return p.mean.round()

    def best_guess(self, draws: Tensor, means: Tensor) -> Tensor:
        return super().best_guess(draws, means).round()

    def possible(self, x: Tensor) -> Tensor:
        return is_whole(x, 0, MOST)
