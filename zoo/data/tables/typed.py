"""Raw columns of known kinds -> the numbers that models read, (N, D)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.columns import Column, TableSchema
from zoo.columns.schema import values_of
from zoo.columns.values import MOST_VALUES
from zoo.data.tables.kinds import kind_class
from zoo.data.tables.raw import RawColumn, RawTable
from zoo.errors import ConfigError, DataError

RESOLUTION = 2.0**-24
"""The relative rounding of float32."""


def values_asked(column: RawColumn, settings: dict[str, Any]) -> list[str]:
    """The values of a column whose kind has such: those asked for, or those that it has, sorted.

    Raises DataError for too many, and for an order that is not known.
    """
    if "values" in settings:
        return [str(value) for value in settings["values"]]
    name, kind = column.name, settings["name"]
    texts = column.as_texts()[1]
    if len(texts) > MOST_VALUES:
        raise DataError(
            f"column {name!r} has {len(texts):,} different values such as {texts[0]!r}, and a "
            f"{kind} column at most {MOST_VALUES:,}; leave it out, as columns={{{name!r}: None}} "
            "(null in a .yaml file) does, or mend what is no number in it"
        )
    if column.numbers is not None or column.is_ordered:
        return texts
    if kind == "ordinal":
        raise DataError(
            f"column {name!r} is to be ordinal, and its values have no order; say it, the lowest "
            f"first, as in {{name: ordinal, values: {sorted(texts)[:4]}}}"
        )
    return sorted(texts)


def read_numbers(column: RawColumn, kind: str) -> NDArray[np.float64]:
    """The numbers (N,) of a column of a kind without values. Raises DataError where texts stand."""
    if column.numbers is not None:
        _refuse_rounding(column.name, column.numbers[~column.missing])
        return column.numbers
    ids, texts = column.as_texts()
    text = next((text for text in texts if not _is_number(text)), texts[0])
    row = 1 + int((ids == texts.index(text)).argmax())
    raise DataError(
        f"row {row}, column {column.name!r} holds {text!r}, and a {kind} column holds numbers; "
        "mend it, or leave the field empty where the value is missing"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _refuse_rounding(name: str, numbers: NDArray[np.float64]) -> None:
    """What float32 rounds away must be small beside how the numbers differ."""
    if len(numbers) and np.abs(numbers).max() * RESOLUTION > 0.01 * numbers.std() > 0:
        raise DataError(
            f"column {name!r} holds numbers around {numbers.mean():.6g} that differ by some "
            f"{numbers.std():.3g}, of which float32 loses digits; subtract their mean, or leave it "
            "out where it but numbers the rows"
        )


def read_values(
    column: RawColumn, values: Sequence[str], unknown_is_missing: bool
) -> NDArray[np.float64]:
    """The numbers (N,) of values. Raises DataError for one not among them, unless it is missing."""
    ids, texts = column.as_texts()
    places = {value: place for place, value in enumerate(values)}
    numbers = np.array([places.get(text, -1) for text in texts] or [0])
    unknown = [place for place, number in enumerate(numbers[: len(texts)]) if number < 0]
    used = [place for place in unknown if (ids == place).any()]
    if used and not unknown_is_missing:
        row, text = 1 + int((ids == used[0]).argmax()), texts[used[0]]
        raise DataError(
            f"row {row}, column {column.name!r} holds {text!r}, which is none of its values "
            f"{', '.join(values):.200}; mend it, or count what is unknown as missing "
            "(unknown_is_missing=True, --unknown-is-missing)"
        )
    found = numbers[ids].astype(np.float64)
    found[(ids < 0) | (found < 0)] = np.nan
    return found


def read_known(
    table: RawTable, schema: TableSchema, unknown_is_missing: bool
) -> NDArray[np.float32]:
    """The rows (N, D) of a table as a schema says. Raises DataError for other columns."""
    by_name = _by_name(table, schema)
    columns = []
    for column in schema.columns:
        raw, values = by_name[column.name], values_of(column)
        columns.append(
            read_numbers(raw, column.kind.name).astype(np.float32)
            if values is None
            else read_values(raw, values, unknown_is_missing).astype(np.float32)
        )
    return np.stack(columns, axis=1)


def _by_name(table: RawTable, schema: TableSchema) -> dict[str, RawColumn]:
    """A table's columns by the names of a schema. Raises DataError for others."""
    found = {each.name: each for each in table.columns if each.name not in schema.left_out}
    names, wanted = list(found), schema.names
    if not table.has_names and len(names) != len(wanted):
        raise DataError(f"there are {len(names)} columns, and the model reads {len(wanted)}")
    missing, more = ([n for n in a if n not in b] for a, b in ((wanted, names), (names, wanted)))
    if missing or more:
        raise DataError(
            "the columns are not those of the model: "
            f"missing {', '.join(missing) or 'none'}, unknown {', '.join(more) or 'none'}; "
            "name them alike, and leave a column of gaps where one is not known"
        )
    return found


def fitted(
    name: str,
    settings: dict[str, Any],
    values: Sequence[str],
    column: NDArray[np.float32],
    train: NDArray[np.float32],
) -> Column:
    """A column's schema, of what the training split has of it, or all where that is one value.

    Raises DataError for what its kind cannot be.
    """
    kind = kind_class(name, settings["name"])
    numbers = train[~np.isnan(train)]
    if not kind.has_values and len(np.unique(numbers)) < 2:
        numbers = column[~np.isnan(column)]
        if len(np.unique(numbers)) < 2:
            raise DataError(
                f"column {name!r} holds {numbers[0]:g} alone, of which a density would be without "
                "bound; make it a 'category', or leave it out"
            )
    try:
        found = kind.fit(numbers.astype(np.float64), values).model_dump()
        asked = {key: value for key, value in settings.items() if key != "values"}
        return Column.parse({"name": name, "kind": {**found, **asked}}, f"column {name!r}")
    except ConfigError as error:
        raise DataError(f"column {name!r}: {error}") from error
