"""What is known of a table's columns: names, kinds, and what was learned of each."""

from __future__ import annotations

from collections import Counter

from pydantic import Field, field_validator

from zoo.columns.base import ColumnKind
from zoo.core.component import Selected
from zoo.settings import Settings


class Column(Settings):
    """A column's name and kind, the latter with what was learned of it from the training split."""

    name: str
    kind: Selected[ColumnKind]


class TableSchema(Settings):
    """The columns of a table in their order, as a checkpoint holds them.

    ``labels`` names the column that is the examples' label and no part of x, and ``classes`` its
    values where these are words. Columns that were ``left_out`` are not read.

    >>> age = Column(name="age", kind={"name": "real", "mean": 40, "std": 9})
    >>> TableSchema(columns=[age]).described
    'age: real'
    """

    columns: tuple[Column, ...] = Field(min_length=1)
    labels: str | None = None
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @field_validator("columns")
    @classmethod
    def _have_names_of_their_own(cls, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        (name, count), *_ = Counter(column.name for column in columns).most_common()
        if count > 1:
            raise ValueError(f"{count} columns are called {name!r}; names are given once")
        return columns

    @property
    def names(self) -> list[str]:
        """Of the columns, in their order."""
        return [column.name for column in self.columns]

    @property
    def described(self) -> str:
        """Names and kinds in words; of kinds with values how many these are."""
        return ", ".join(map(_described, self.columns))


def values_of(column: Column) -> tuple[str, ...] | None:
    """The names of a column's values; None of numbers."""
    return column.kind.config.values if column.kind.component.has_values else None  # type: ignore[attr-defined]


def _described(column: Column) -> str:
    values = values_of(column)
    counted = "" if values is None else f" of {len(values)}"
    return f"{column.name}: {column.kind.name}{counted}"
