"""From a raw table to three splits, and what its columns are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.columns import TableSchema
from zoo.data.arrays import column_of
from zoo.data.examples import CONDITIONS
from zoo.data.partition import with_held_out
from zoo.data.tables.kinds import Asked, asked_kinds, kind_class, kinds_of
from zoo.data.tables.raw import RawColumn, RawTable
from zoo.data.tables.split import TableSplit
from zoo.data.tables.typed import fitted, read_known, read_numbers, read_values, values_asked
from zoo.errors import DataError, did_you_mean
from zoo.modalities import modality_of

TableSplits = tuple[TableSplit, TableSplit, TableSplit]


class TableReading(NamedTuple):
    """How a table is read: kinds of its columns that are asked for, or a model's columns.

    ``labels`` names the column that is no part of x. With ``unknown_is_missing`` a value that the
    model's column has not counts as missing.
    """

    columns: Asked | TableSchema
    labels: str | None = None
    unknown_is_missing: bool = False


def asked_reading(
    columns: object, labels: str | None, unknown_is_missing: bool
) -> TableReading | None:
    """How a table is to be read; None where nothing is said, not even that it is one."""
    known = columns if isinstance(columns, TableSchema) else asked_kinds(columns)
    if known is None:
        return None if labels is None else TableReading({}, labels, unknown_is_missing)
    return TableReading(known, labels, unknown_is_missing)


class _Rows(NamedTuple):
    """The numbers of all rows, and of columns that are read anew their settings and values."""

    x: NDArray[np.float32]  # (N, D)
    settings: Sequence[tuple[str, dict[str, Any], Sequence[str]]] = ()


def read_table(
    table: RawTable, reading: TableReading, whole: bool = False
) -> tuple[TableSplits, TableSchema]:
    """Train, validation and test, what is missing of these held out of train, and the columns.

    A table without splits that is to stay ``whole`` is each of them.
    Of a table read anew means and deviations are those of the training split. Raises DataError,
    naming row and column, for what the columns cannot hold, and for rows and columns without any
    value.
    """
    known = reading.columns if isinstance(reading.columns, TableSchema) else None
    _refuse_unknown_labels(table, reading.labels)
    own = None if known is None else known.labels
    table, labels = _without_labels(table, reading.labels or own)
    if known is not None:
        rows = _Rows(read_known(table, known, reading.unknown_is_missing))
    else:
        rows = _typed(kinds_of(table, reading.columns))  # type: ignore[arg-type]
    _refuse_gaps(rows)
    numbers, classes = _classes(labels, known)
    splits = _split(rows.x, table, numbers, whole)
    schema = known or _fit(rows, splits[0], labels, classes, table)
    modality_of((rows.x.shape[1],), schema).check_values(torch.from_numpy(rows.x), "columns")
    return splits, schema


def _without_labels(table: RawTable, name: str | None) -> tuple[RawTable, RawColumn | None]:
    """The table without the column of that name, and that column where there is one."""
    if name is None:
        return table, None
    found = [column for column in table.columns if column.name == name]
    columns = [column for column in table.columns if column.name != name]
    return RawTable(columns, table.sizes, table.beside, table.has_names), next(iter(found), None)


def _refuse_unknown_labels(table: RawTable, name: str | None) -> None:
    """Raise DataError for labels that are to be read and are not there."""
    names = [column.name for column in table.columns]
    if name is not None and name not in names:
        raise DataError(
            f"labels names {name!r}, and there is no such column{did_you_mean(name, names)} There "
            f"are: {', '.join(names):.300}"
        )


def _typed(kinds: Sequence[tuple[RawColumn, dict[str, Any]]]) -> _Rows:
    """The numbers of columns whose kinds are known."""
    columns, settings = [], []
    for column, asked in kinds:
        if column.missing.all():
            raise DataError(f"column {column.name!r} has no value; leave it out")
        has_values = kind_class(column.name, asked["name"]).has_values
        values = values_asked(column, asked) if has_values else []
        numbers = (
            read_values(column, values, unknown_is_missing=False)
            if has_values
            else read_numbers(column, asked["name"])
        )
        columns.append(numbers.astype(np.float32))
        settings.append((column.name, asked, values))
    return _Rows(np.stack(columns, axis=1), settings)


def _refuse_gaps(rows: _Rows) -> None:
    """Raise DataError for a row without any value."""
    if not rows.x.shape[1]:
        raise DataError("there is no column but the labels; give some to learn from")
    empty = np.isnan(rows.x).all(1)  # (N,)
    if empty.any():
        raise DataError(f"row {1 + int(empty.argmax())} has no value; leave it out")


def _classes(
    labels: RawColumn | None, known: TableSchema | None
) -> tuple[Tensor | None, tuple[str, ...]]:
    """A column as labels: classes int64 (N,), -1 where one is not known, or numbers (N,)."""
    if labels is None:
        return None, ()
    numbers = labels.numbers
    if numbers is None:
        texts = sorted(labels.texts) if known is None else list(known.classes)
        classes = read_values(labels, texts, unknown_is_missing=False)
        return torch.from_numpy(np.nan_to_num(classes, nan=-1).astype(np.int64)), tuple(texts)
    there = numbers[~labels.missing]
    if (there == np.rint(there)).all() and there.min(initial=0) >= -1:
        return torch.from_numpy(np.nan_to_num(numbers, nan=-1).astype(np.int64)), ()
    if labels.missing.any():
        row = 1 + int(labels.missing.argmax())
        raise DataError(f"row {row} has no label in {labels.name!r}, whose labels are numbers")
    return torch.from_numpy(numbers.astype(np.float32)), ()


def _split(
    x: NDArray[np.float32], table: RawTable, labels: Tensor | None, whole: bool
) -> TableSplits:
    sizes = table.sizes or {"train": len(x)}
    rows = torch.from_numpy(x).split_with_sizes(list(sizes.values()))
    told = [None] * len(sizes) if labels is None else labels.split_with_sizes([*sizes.values()])
    splits = {
        part: TableSplit(piece, **_beside(table.beside.get(part, {}), part, len(piece), own))
        for (part, piece, own) in zip(sizes, rows, told, strict=True)
    }
    return with_held_out(splits["train"], splits.get("validation"), splits.get("test"), whole)


def _beside(
    columns: Mapping[str, Any], part: str, count: int, labels: Tensor | None
) -> dict[str, Tensor | None]:
    """Labels and condition of a part; ``labels`` are those of a column of the table."""
    found = {name: column_of(columns, name, part, count) for name in CONDITIONS}
    if labels is not None and found["labels"] is not None:
        raise DataError("labels are given beside the table, and a column of it is named; give one")
    return found if labels is None else {**found, "labels": labels}


def _fit(
    rows: _Rows,
    train: TableSplit,
    labels: RawColumn | None,
    classes: tuple[str, ...],
    table: RawTable,
) -> TableSchema:
    learned = train.rows.numpy()
    columns = tuple(
        fitted(name, asked, values, rows.x[:, place], learned[:, place])
        for place, (name, asked, values) in enumerate(rows.settings)
    )
    read = {name for name, _, _ in rows.settings}
    return TableSchema(
        columns=columns,
        labels=None if labels is None else labels.name,
        classes=classes,
        left_out=tuple(each.name for each in table.columns if each.name not in read),
    )
