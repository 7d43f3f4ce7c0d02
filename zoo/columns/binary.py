"""One of two values."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.distributions import Bernoulli, Distribution

from zoo.columns.values import ValueColumns, Values
from zoo.distributions.precision import full_precision


class Binary(ValueColumns):
    """One of two values: p(x = 1|z) = sigmoid(logit); a mass.

    >>> import torch
    >>> column = Binary([Binary.Config(values=("no", "yes"))])
    >>> column.likelihood(torch.zeros(1)).log_prob(torch.ones(1)).exp()
    tensor([0.5000])
    """

    class Config(Values):
        """The two values, in their order."""

        values: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]

    @property
    def numbers(self) -> int:
        return len(self.columns)

    @property
    def owners(self) -> list[int]:
        return list(range(len(self.columns)))

    def features(self, x: Tensor) -> Tensor:
        return x

    def likelihood(self, numbers: Tensor) -> Distribution:
        return Bernoulli(logits=full_precision(numbers), validate_args=False)

    def typical(self, p: Distribution) -> Tensor:
        """The more probable value."""
        return (p.mean > 0.5).to(p.mean.dtype)
