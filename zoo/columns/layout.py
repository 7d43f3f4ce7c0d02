"""All columns of a table, those of one kind together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.columns.base import ColumnKind, constant
from zoo.columns.schema import TableSchema
from zoo.distributions.column_product import ColumnProduct
from zoo.distributions.precision import full_precision


class Group(NamedTuple):
    """The columns of one kind, and their places among all columns."""

    kind: ColumnKind
    places: list[int]


class Layout:
    """Values (..., D) of a table's columns: what an encoder sees of them, and p(x|z).

    >>> from zoo.columns import Column
    >>> kinds = {"name": "binary", "values": ["no", "yes"]}, {"name": "real", "mean": 4, "std": 2}
    >>> schema = TableSchema(columns=[Column(name=n, kind=k) for n, k in zip("ab", kinds)])
    >>> layout = Layout(schema)
    >>> layout.features(torch.tensor([[1.0, 8.0]]), torch.tensor([[True, False]]))
    tensor([[1., 0., 1., 0.]])
    """

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        places: dict[str, list[int]] = {}
        for place, column in enumerate(schema.columns):
            places.setdefault(column.kind.name, []).append(place)
        self.groups = [self._group(each) for each in places.values()]

    def _group(self, places: Sequence[int]) -> Group:
        kinds = [self.schema.columns[place].kind for place in places]
        kind = kinds[0].component
        return Group(kind([each.config for each in kinds]), list(places))

    @cached_property
    def width(self) -> int:
        """F, how many numbers an encoder sees of a row: its features, and what is observed."""
        return sum(len(kind.owners) for kind, _ in self.groups) + len(self.schema.columns)

    @cached_property
    def numbers(self) -> int:
        """How many numbers a decoder makes for a row."""
        return sum(kind.numbers for kind, _ in self.groups)

    def fill(self, like: Tensor) -> Tensor:
        """A possible value of each column, (D,)."""
        values = self._in_order([kind.fill for kind, _ in self.groups])
        return constant(values, full_precision(like))

    def _in_order(self, parts: Sequence[Sequence[float]]) -> list[float]:
        places = [place for _, own in self.groups for place in own]
        values = [value for part in parts for value in part]
        return [value for _, value in sorted(zip(places, values, strict=True))]

    def features(self, x: Tensor, observed: Tensor) -> Tensor:
        """What an encoder sees of possible values (B, D): (B, F), 0 where one is missing.

        Beside them stands which are ``observed``, (B, D).
        """
        parts = [
            torch.where(observed[..., places][..., kind.owners], kind.features(x[..., places]), 0)
            for kind, places in self.groups
        ]
        return torch.cat([*parts, observed.to(x.dtype)], dim=-1)

    def likelihood(self, numbers: Tensor) -> ColumnProduct:
        """p(x|z) of a decoder's numbers (..., N), batch shape (...)."""
        parts = torch.split(numbers, [kind.numbers for kind, _ in self.groups], dim=-1)
        each = [kind.likelihood(part) for (kind, _), part in zip(self.groups, parts, strict=True)]
        return ColumnProduct(each, [places for _, places in self.groups], self.fill(numbers))

    def typical(self, p: Distribution) -> Tensor:
        """One row (..., D) for each of p(x|z): of each column its kind's mean, median or mode."""
        product = cast("ColumnProduct", p)
        parts = zip(self.groups, product.parts, strict=True)
        return product.joined([kind.typical(part) for (kind, _), part in parts])

    def best_guess(self, draws: Tensor, means: Tensor) -> Tensor:
        """One row (..., D) for many draws of it (S, ..., D), and what is typical of each."""
        parts = [
            kind.best_guess(draws[..., places], means[..., places]) for kind, places in self.groups
        ]
        return torch.cat(parts, dim=-1)[..., self._order]

    def possible(self, x: Tensor) -> Tensor:
        """Whether each of the values (..., D) is one that its column may have."""
        parts = [kind.possible(x[..., places]) for kind, places in self.groups]
        return torch.cat(parts, dim=-1)[..., self._order]

    @cached_property
    def _order(self) -> list[int]:
        """Where each column stands among those of all groups, one group after the other."""
        order = [place for _, own in self.groups for place in own]
        return sorted(range(len(order)), key=order.__getitem__)

    def wanted(self, place: int) -> str:
        """What the values of a column have to be, in words."""
        return next(kind.wanted for kind, places in self.groups if place in places)
