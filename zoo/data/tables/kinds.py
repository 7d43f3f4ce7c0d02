"""Which kind each column of a table is: as asked, as its source says, or as its values look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from zoo.columns import ColumnKind, TableSchema
from zoo.core.component import component_class
from zoo.data.tables.raw import RawColumn, RawTable
from zoo.errors import DataError, ZooError, did_you_mean
from zoo.registry import registry
from zoo.yaml_files import read_mapping

Asked: TypeAlias = Mapping[str, Any] | Sequence[Any]
"""Kinds by the names of columns, or one for each column in turn."""
MOST_COUNTED = 1000
"""Whole numbers up to which a column looks like one of counts, and not of measurements."""


def asked_kinds(given: object) -> dict[str, Any] | list[Any] | None:
    """What ``columns`` says, from a YAML file where it is a path.

    Raises DataError for what is neither kinds by name nor a list of them.

    >>> asked_kinds({"age": "count"})
    {'age': 'count'}
    """
    if isinstance(given, str | Path):
        given = read_mapping(Path(given))
    if given is None or isinstance(given, TableSchema):
        return None
    if isinstance(given, Mapping):
        return {str(name): kind for name, kind in given.items()}
    if isinstance(given, Sequence) and not isinstance(given, str):
        return list(given)
    raise DataError(
        "columns is a mapping from names to kinds, as in {'age': 'count'}, a list of kinds, or the "
        f"path of a .yaml file of such a mapping; got {given!r:.100}"
    )


def kinds_of(table: RawTable, asked: Asked) -> list[tuple[RawColumn, dict[str, Any]]]:
    """Each column that is read, with its kind as a configuration says it: its name and settings.

    A column whose kind is None is left out. Raises DataError for columns that are not there, and
    for kinds that are not known or do not fit.
    """
    named = _by_name(table, asked)
    found = []
    for column in table.columns:
        kind = named.get(column.name, "")
        if column.name in named and kind is None:
            continue
        settings = _settings(column.name, kind) if kind else {"name": inferred(column)}
        found.append((column, settings))
    if not found:
        raise DataError("every column is left out; keep one at least")
    return found


def _by_name(table: RawTable, asked: Asked) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    if not isinstance(asked, Mapping):
        if len(asked) != len(names):
            raise DataError(f"columns lists {len(asked)} kinds, and there are {len(names)} columns")
        return dict(zip(names, asked, strict=True))
    for name in asked:
        if name not in names:
            raise DataError(
                f"columns says what {name!r} is, and there is no such column"
                f"{did_you_mean(name, names)} There are: {', '.join(names):.300}"
            )
    return dict(asked)


def _settings(name: str, kind: Any) -> dict[str, Any]:
    """A kind as a configuration says it: by its name, or with settings of its own."""
    settings = {"name": kind} if isinstance(kind, str) else kind
    if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
        raise DataError(
            f"column {name!r}: its kind is a name, or {{name: ordinal, values: [...]}}, got "
            f"{kind!r:.100}; known are {', '.join(registry().columns)}, and null leaves it out"
        )
    kind_class(name, settings["name"])
    return dict(settings)


def kind_class(column: str, kind: str) -> type[ColumnKind]:
    """The class of a kind. Raises DataError for one there is not."""
    try:
        found: type[ColumnKind] = component_class("columns", kind)
    except ZooError as error:
        raise DataError(f"column {column!r}: {error}") from error
    return found


def inferred(column: RawColumn) -> str:
    """The kind that a column looks like.

    Texts, and numbers that are all the same, are categories; what has two values, texts or whole
    numbers, is binary. Whole numbers from 0 to 1,000 are counts. Numbers that are all positive are
    "positive", others "real".

    >>> inferred(RawColumn("age", numbers=np.array([31.0, 45.0, np.nan, 60.0])))
    'count'
    """
    if column.numbers is None:
        return _of_texts(column)
    numbers = column.numbers[~column.missing]
    low, high = numbers.min(initial=np.inf), numbers.max(initial=-np.inf)
    if low >= high:
        return "category"
    is_whole = bool((numbers == np.rint(numbers)).all())
    if is_whole and bool(((numbers == low) | (numbers == high)).all()):
        return "binary"
    if column.kind is not None:
        return column.kind
    if is_whole and low >= 0 and high <= MOST_COUNTED:
        return "count"
    return "positive" if low > 0 else "real"


def _of_texts(column: RawColumn) -> str:
    known = len(np.unique(column.as_texts()[0][~column.missing]))
    return column.kind or ("binary" if known == len(column.texts) == 2 else "category")
