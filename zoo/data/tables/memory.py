"""Tables that a program holds: arrays and frames of pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.arrays import WHOLE, check_keys, parts_of
from zoo.data.numpy_files import Array
from zoo.data.sources import as_arrays, is_frame
from zoo.data.tables.raw import RawColumn, RawTable
from zoo.errors import DataError


def table_of(source: Any) -> RawTable:
    """A table of a DataFrame, or of what :func:`zoo.data.sources.as_arrays` reads.

    Raises DataError for what is none.
    """
    if is_frame(source):
        return RawTable(_frame_columns(source))
    if isinstance(source, tuple) and len(source) == 2 and is_frame(source[0]):
        labels = as_arrays({"labels": source[1]})
        return RawTable(_frame_columns(source[0]), {"train": len(source[0])}, {"train": labels})
    return table_of_arrays(as_arrays(source))


def has_texts(source: Any) -> bool:
    """Whether it is a DataFrame, or (frame, labels), of which some columns are no numbers."""
    frame = source[0] if isinstance(source, tuple) and len(source) == 2 else source
    return is_frame(frame) and any(kind.kind not in "biuf" for kind in frame.dtypes)


def table_of_arrays(arrays: Mapping[str, Array]) -> RawTable:
    """A table of arrays named as in an ``.npz`` file, (N, D) each; columns are called x0, x1, ...

    NaN is missing, and what an array ``observed`` says is. Raises DataError.
    """
    check_keys(list(arrays))
    parts = parts_of(arrays)
    x = np.concatenate([_numbers(columns, part, parts["train"]) for part, columns in parts.items()])
    names = [f"x{place}" for place in range(x.shape[1])]
    kind = "binary" if x.dtype == np.bool_ else None
    columns = [
        RawColumn(name, numbers=_finite(column.astype(np.float64), name), kind=kind)
        for name, column in zip(names, x.T, strict=True)
    ]
    sizes = {part: len(columns["x"]) for part, columns in parts.items()}
    beside = {
        part: {name: column for name, column in columns.items() if name not in ("x", "observed")}
        for part, columns in parts.items()
    }
    return RawTable(columns, sizes, beside, has_names=False)


def _numbers(columns: Mapping[str, Array], part: str, train: Mapping[str, Array]) -> Array:
    x, observed = columns["x"], columns.get("observed")
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "biuf":
        raise DataError(
            f"{part} holds {x.dtype} of shape {x.shape}; a table is numbers (N, D), called "
            f"{WHOLE[-1]}, and nothing empty"
        )
    if x.shape[1] != train["x"].shape[1]:
        raise DataError(f"{part} has {x.shape[1]} columns, train {train['x'].shape[1]}")
    if observed is None:
        return x
    if observed.shape != x.shape or not np.isin(observed, (0, 1)).all():
        raise DataError(
            f"observed of {part} must be booleans of shape {x.shape}, "
            f"got {observed.dtype} of shape {observed.shape}"
        )
    return np.where(observed.astype(np.bool_), x, np.nan)


def _finite(numbers: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    if np.isinf(numbers).any():
        row = 1 + int(np.isinf(numbers).argmax())
        raise DataError(f"row {row}, column {name!r} is infinite; give nan where one is missing")
    return numbers


def _frame_columns(frame: Any) -> list[RawColumn]:
    names = [str(name) for name in frame.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two columns are called {twice!r}; give each a name of its own")
    if not len(frame) or not names:
        raise DataError(f"a DataFrame of shape {frame.shape}; give one with rows and columns")
    return [_frame_column(name, frame.iloc[:, place]) for place, name in enumerate(names)]


def _frame_column(name: str, column: Any) -> RawColumn:
    """By its dtype: booleans, integers, floats, categories, or objects that are text."""
    kind = column.dtype.kind
    if kind in "biuf":
        numbers = _finite(column.to_numpy(np.float64, na_value=np.nan), name)
        whole = "count" if kind in "iu" and np.nanmin(numbers, initial=0) >= 0 else None
        return RawColumn(name, numbers=numbers, kind="binary" if kind == "b" else whole)
    if kind != "O":
        raise DataError(
            f"column {name!r} of the DataFrame holds {column.dtype}; allowed are numbers, "
            "booleans, categories and text; give dates as numbers, or leave them out"
        )
    categories = column.astype("category").cat
    ids, texts = categories.codes.to_numpy(np.int32), [str(each) for each in categories.categories]
    if len(set(texts)) < len(texts):
        raise DataError(f"column {name!r} of the DataFrame has values that are written alike")
    ordered = bool(categories.ordered)
    return RawColumn(name, None, ids, texts, "ordinal" if ordered else None, ordered)
