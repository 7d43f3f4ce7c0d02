"""Independent numbers of several kinds, in the order of a table's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from zoo.distributions.directional import as_size


class ColumnProduct(Distribution):
    """p(x) = prod_i p_i(x_i) over x = (x_1, ..., x_D), of which some may be missing.

    ``parts`` are distributions over numbers, each of batch shape (*batch, d), and ``places`` says
    which d of the D numbers are each one's. ``fill`` (D,) has a possible value of each, which is
    scored where one is missing, and does not count.

    Some numbers may have masses and others densities; then the whole is a density with respect to
    the product of the counting and the Lebesgue measures.

    >>> from torch.distributions import Bernoulli, Normal
    >>> parts = [Bernoulli(torch.tensor([0.5])), Normal(torch.zeros(2), 1.0)]
    >>> p = ColumnProduct(parts, [[1], [0, 2]], torch.zeros(3))
    >>> p.log_prob_by_column(torch.tensor([0.0, 1.0, 1.0]))
    tensor([-0.9189, -0.6931, -1.4189])
    >>> x = torch.tensor([0.0, 1.0, torch.nan])
    >>> p.log_prob_observed(x, ~x.isnan())
    tensor(-1.6121)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self, parts: Sequence[Distribution], places: Sequence[list[int]], fill: Tensor
    ) -> None:
        self.parts, self.places, self.fill = parts, places, fill
        order = [place for own in places for place in own]
        self._sorted = sorted(range(len(order)), key=order.__getitem__)
        batch = parts[0].batch_shape[:-1]
        super().__init__(batch, torch.Size([len(order)]), validate_args=False)

    def joined(self, values: Sequence[Tensor]) -> Tensor:
        """What there is of each part, (..., d), in the order of the columns: (..., D)."""
        return torch.cat([value.to(self.fill.dtype) for value in values], dim=-1)[..., self._sorted]

    def log_prob_by_column(self, value: Tensor) -> Tensor:
        """log p_i(x_i) of each number, (..., D)."""
        each = zip(self.parts, self.places, strict=True)
        return self.joined([part.log_prob(value[..., places]) for part, places in each])

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over columns, (...)."""
        return self.log_prob_by_column(value).sum(-1)

    def log_prob_observed(self, value: Tensor, observed: Tensor) -> Tensor:
        """The sum over columns that are ``observed``, (...); see `observed_log_prob`."""
        filled = torch.where(observed, value, self.fill)
        return torch.where(observed, self.log_prob_by_column(filled), 0).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws (*sample_shape, *batch_shape, D)."""
        return self.joined([part.sample(as_size(sample_shape)) for part in self.parts])
