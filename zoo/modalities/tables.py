"""Rows of a table: D columns, each of a kind of its own, with gaps."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from zoo.columns import Layout, TableSchema
from zoo.columns.schema import values_of
from zoo.core.batch import Batch
from zoo.errors import DataError
from zoo.modalities.base import Form, Modality, check_floats

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from zoo.likelihoods.base import InputKind


class Tables(Modality):
    """Rows (B, D): numbers in the units of the data, of categories their numbers from 0.

    NaN is missing. ``form`` says of each column what it is.

    >>> from zoo.columns import Column
    >>> kinds = {"name": "binary", "values": ["no", "yes"]}, {"name": "real", "mean": 4, "std": 2}
    >>> schema = TableSchema(columns=[Column(name=n, kind=k) for n, k in zip("ab", kinds)])
    >>> tables, rows = Tables((2,), schema), torch.tensor([[1.0, 8.5], [torch.nan, 2.0]])
    >>> tables.header, tables.write(rows)
    ('a,b', ['yes,8.5', ',2'])
    >>> tables.records(rows)[1]
    {'a': None, 'b': 2.0}
    >>> tables.check(torch.tensor([[2.0, 0.0]]), "columns")
    Traceback (most recent call last):
    zoo.errors.DataError: row 1, column 'a' holds 2; a binary column holds the numbers of its ...
    """

    name, parts = "tables", "columns"
    kinds = ("columns",)
    suffixes = (".csv", *Modality.suffixes)
    nan_is_missing = True
    has_squared_error = False

    def __init__(self, shape: tuple[int, ...], form: TableSchema) -> None:
        super().__init__(shape)
        self.schema, self.layout = form, Layout(form)

    @classmethod
    def fits(cls, shape: tuple[int, ...], form: Form) -> bool:
        return isinstance(form, TableSchema) and shape == (len(form.columns),)

    @property
    def for_likelihood(self) -> tuple[Any, ...]:
        return self.shape, self.schema

    def filled(self, batch: Batch) -> Batch:
        """NaN is missing, beside what ``observed`` says; a possible value stands there."""
        there = ~batch.x.isnan()
        observed = there if batch.observed is None else there & batch.observed
        return batch._replace(
            x=torch.where(observed, batch.x, self.layout.fill(batch.x)), observed=observed
        )

    def check_form(self, x: Tensor) -> None:
        check_floats(x, self.shape, "a table's columns")

    def check_values(self, x: Tensor, kind: InputKind) -> None:
        """Values that their columns may have, or NaN."""
        wrong = ~(self.layout.possible(x) | x.isnan())
        if wrong.any():
            row, place = wrong.nonzero()[0].tolist()
            column = self.schema.columns[place]
            raise DataError(
                f"row {row + 1}, column {column.name!r} holds {x[row, place]:g}; a "
                f"{column.kind.name} column holds {self.layout.wanted(place)}, and nan where one "
                "is missing"
            )

    def best_guess(self, draws: Tensor, means: Tensor) -> Tensor:
        """Of columns with values the commonest, of others the mean."""
        return self.layout.best_guess(draws, means)

    @property
    def header(self) -> str:
        """The names of the columns as a line of a .csv file."""
        return _line(self.schema.names)

    def write(self, x: Tensor) -> list[str]:
        """Rows (B, D) as lines of a .csv file: values by name, nothing where one is missing."""
        return [_line(map(_shown, row.values())) for row in self.records(x)]

    def shown(self, x: Tensor) -> Tensor:
        """Rows as they are, in the units of the data: numbers to go on with."""
        return x

    def records(self, x: Tensor) -> list[dict[str, float | str | None]]:
        """Rows (B, D) by the names of columns and values; None where one is missing.

        ``pandas.DataFrame(records)`` makes a frame of them.
        """
        self.check(x, "columns")
        columns = [
            _named(values, values_of(column))
            for values, column in zip(x.T.tolist(), self.schema.columns, strict=True)
        ]
        return [
            dict(zip(self.schema.names, row, strict=True)) for row in zip(*columns, strict=True)
        ]

    def log(self, writer: SummaryWriter, shown: Any, step: int) -> None:
        lines = [self.header, *self.write(cast("Tensor", shown))]
        writer.add_text("samples", "\n".join(f"    {line}" for line in lines), step)

    def describe(self, count: int, kind: InputKind, seed: int, converted: str = "") -> str:
        return f"{count} rows"

    def protocol(self, kind: InputKind, split: str, seed: int) -> str:
        return f"{split} rows in the units of the data, noise seeded with {seed}"


def _named(values: Sequence[float], names: Sequence[str] | None) -> list[float | str | None]:
    """A column's values, of which NaN is None, by name where they have names."""
    known = [None if value != value else value for value in values]
    if names is None:
        return list(known)
    return [None if value is None else names[int(value)] for value in known]


def _shown(value: float | str | None) -> str:
    """A number by the fewest digits that tell it from other float32."""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else str(np.float32(value))
    return "" if value is None else value


def _line(fields: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
