"""Tables in .csv files, read in pieces of some thousand rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from zoo.data.tables.raw import GAPS, RawColumn, RawTable
from zoo.errors import DataError

ROWS_AT_ONCE = 10_000
DELIMITERS = ",;\t"


def read_csv(path: Path) -> RawTable:
    """The columns of a file whose first line names them.

    Fields are separated by commas, or by semicolons or tabs where the first line is. A field that
    is empty, NA, NaN or ? is missing. A column all of whose other fields are numbers is one of
    numbers, else of texts.

    Raises DataError, naming the line, for a damaged file, and names or rows that do not fit.
    """
    texts: frozenset[int] = frozenset()
    while True:
        columns = _read(path, texts)
        late = {place for place, column in enumerate(columns) if column.turned}
        if not late:
            return RawTable([column.read() for column in columns])
        texts |= late  # what was read as numbers before the first text is read again


def _read(path: Path, texts: frozenset[int]) -> list[_Column]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _columns(file, texts)
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error}; convert it") from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error


def _columns(file: IO[str], texts: frozenset[int]) -> list[_Column]:
    first = file.readline()
    delimiter = max(DELIMITERS, key=first.count)
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        names = _names(next(reader, []))
        columns = [_Column(name, place in texts) for place, name in enumerate(names)]
        rows = _rows(reader, len(names))
        while piece := list(islice(rows, ROWS_AT_ONCE)):
            for column, fields in zip(columns, zip(*piece, strict=True), strict=True):
                column.add(fields)
    except csv.Error as error:
        raise DataError(f"line {reader.line_num}: {error}; it is damaged, or no .csv") from error
    if not len(columns[0]):
        raise DataError("it has names of columns and no rows")
    return columns


def _names(fields: Sequence[str]) -> list[str]:
    names = [field.strip() for field in fields]
    if not names or (len(names) == 1 and not names[0]):
        raise DataError("the first line is to name the columns, and is empty")
    if "" in names:
        raise DataError(f"column {names.index('') + 1} has no name; write one into the first line")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two columns are called {twice!r}; give each a name of its own")
    if all(map(_is_number, names)):
        raise DataError(
            f"the first line is to name the columns, and holds numbers, {', '.join(names[:3])}...; "
            "write names above it"
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in GAPS
    return True


def _rows(reader: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    """Rows of that many fields; empty lines are none."""
    for row in reader:
        if len(row) == width:
            yield row
        elif row:
            line = reader.line_num  # type: ignore[attr-defined]
            raise DataError(
                f"line {line} has {len(row)} fields, the first line {width}; quote fields that "
                "hold the separator"
            )


class _Column:
    """A column as it is read: of numbers until a field is none."""

    def __init__(self, name: str, is_text: bool) -> None:
        self.name, self.is_text = name, is_text
        self.turned = False
        """Whether it turned out to be of texts when some rows had been read as numbers."""
        self.pieces: list[NDArray[np.float64] | NDArray[np.int32]] = []
        self.texts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def add(self, fields: Sequence[str]) -> None:
        """The next rows' fields."""
        numbers = None if self.is_text else _numbers(fields)
        if numbers is None and not self.is_text:
            self.is_text, self.turned = True, bool(self.pieces)
        if numbers is not None and np.isinf(numbers).any():
            row = len(self) + 1 + int(np.isinf(numbers).argmax())
            raise DataError(f"row {row}, column {self.name!r} is infinite; leave the field empty")
        self.pieces.append(self._ids(fields) if numbers is None else numbers)

    def _ids(self, fields: Sequence[str]) -> NDArray[np.int32]:
        known = self.texts
        ids = [
            -1 if (text := field.strip()) in GAPS else known.setdefault(text, len(known))
            for field in fields
        ]
        return np.array(ids, np.int32)

    def read(self) -> RawColumn:
        """The whole column."""
        values = np.concatenate(self.pieces)  # (N,)
        self.pieces = []
        if self.is_text:
            return RawColumn(self.name, ids=values, texts=list(self.texts))  # type: ignore[arg-type]
        return RawColumn(self.name, numbers=values)  # type: ignore[arg-type]


def _numbers(fields: Sequence[str]) -> NDArray[np.float64] | None:
    """Fields as numbers, NaN where one is missing; None where one is none."""
    if "_" in "".join(fields):  # 1_000 is a number to Python alone
        return None
    count = len(fields)
    try:
        return np.fromiter(map(float, fields), np.float64, count)
    except ValueError:
        pass
    filled = ("nan" if field.strip() in GAPS else field for field in fields)
    try:
        return np.fromiter(map(float, filled), np.float64, count)
    except ValueError:
        return None
