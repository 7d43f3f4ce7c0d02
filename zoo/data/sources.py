"""What a program holds in memory -> arrays by name, as an ``.npz`` file would have them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from zoo.data.arrays import LARGEST_INTEGER
from zoo.data.numpy_files import Array
from zoo.errors import DataError

ALLOWED = (
    "give an array or tensor, (x, labels), a dictionary of arrays named as in an .npz file, a "
    "DataFrame of numbers, or a torch Dataset with a length"
)


def as_arrays(source: object) -> dict[str, Array]:
    """The arrays of ``source`` by name.

    It may be an array or tensor, a tuple (x, labels), a dictionary of arrays, a pandas DataFrame
    whose columns are all numbers, or a torch Dataset with a length whose items are x or (x, label).
    Raises DataError for all else.

    >>> sorted(as_arrays((np.zeros((5, 3)), range(5))))
    ['X', 'labels']
    """
    if isinstance(source, Mapping):
        return {str(key): as_array(value) for key, value in source.items()}
    if isinstance(source, tuple) and len(source) == 2:
        return {"X": as_array(source[0]), "labels": as_array(source[1])}
    if isinstance(source, TorchDataset):
        return _stacked(source)
    return {"X": as_array(source)}


def as_array(source: Any) -> Array:
    """``source`` as an array of NumPy, where it is one, a tensor, a frame or a list of numbers."""
    if isinstance(source, Tensor):
        return _of_tensor(source)
    if isinstance(source, np.ma.MaskedArray):
        raise DataError(
            "the mask of a masked array would be lost; give {'X': x.filled(0), "
            "'observed': ~numpy.ma.getmaskarray(x)}"
        )
    if is_frame(source):
        return _table(source)
    if not isinstance(source, list | range) and not _has_array(source):
        raise DataError(f"cannot read examples from {type(source).__name__}; {ALLOWED}")
    try:
        array = np.asarray(source)
    except (ValueError, TypeError) as error:  # of lists of unlike lengths
        raise DataError(f"cannot make one array of {type(source).__name__}: {error}") from error
    if array.dtype.kind in "US":
        raise DataError(
            "got text where numbers are needed; write sentences into a .txt file, one a line, and "
            "number labels with numpy.unique(labels, return_inverse=True)[1]"
        )
    return array


def _of_tensor(tensor: Tensor) -> Array:
    if tensor.layout is not torch.strided or tensor.is_meta:
        kind = "without data" if tensor.is_meta else f"of layout {tensor.layout}"
        raise DataError(f"cannot read examples from a tensor {kind}; give one on a device, dense")
    held = tensor.detach().cpu()
    array: Array = (held.float() if held.dtype == torch.bfloat16 else held).numpy()
    return array


def is_frame(source: object) -> bool:
    """Whether it is a pandas DataFrame: none is where pandas has not been imported."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(source, pandas.DataFrame)


def _has_array(source: object) -> bool:
    """Whether NumPy can read it without making an array of objects: a PIL image, a Series, ..."""
    return hasattr(source, "__array__") or hasattr(source, "__array_interface__")


def _table(frame: Any) -> Array:
    """The columns of a DataFrame (N, D); missing values are NaN."""
    others = [f"{name} ({kind})" for name, kind in frame.dtypes.items() if kind.kind not in "biuf"]
    if others:
        raise DataError(
            f"columns of a DataFrame must be numbers, got {', '.join(others[:5])}; leave them out "
            "with frame.select_dtypes('number'), or encode them, for instance by "
            "pandas.get_dummies"
        )
    for name, column in frame.items():
        if column.dtype.kind in "iu" and column.abs().max() > LARGEST_INTEGER:
            raise DataError(
                f"column {name!r} holds integers beyond ±{LARGEST_INTEGER:,}, of which float32 "
                "loses digits; rescale it, or leave it out where it is but a number of the row"
            )
    table: Array = frame.to_numpy(np.float64, na_value=np.nan)
    return table


def _stacked(source: TorchDataset[Any]) -> dict[str, Array]:
    """All items of a torch Dataset, read once in their order."""
    if not hasattr(source, "__len__"):
        raise DataError(f"{type(source).__name__} has no length; {ALLOWED}")
    items = [source[number] for number in range(len(source))]
    if not items:
        raise DataError(f"{type(source).__name__} is empty; give examples")
    paired = isinstance(items[0], tuple | list) and len(items[0]) == 2
    if not paired:
        return {"X": _stack([_alone(item) for item in items])}
    examples, labels = zip(*items, strict=True)
    return {"X": _stack(examples), "labels": _stack(labels)}


def _alone(item: Any) -> Any:
    """The example of an item without a label."""
    if not isinstance(item, tuple | list | Mapping):
        return item
    if isinstance(item, Mapping) or len(item) != 1:
        raise DataError(
            f"items of a torch Dataset must be x or (x, label), got a {type(item).__name__} of "
            f"{len(item)}; wrap it in one whose items are"
        )
    return item[0]


def _stack(values: Any) -> Array:
    arrays = [value if np.isscalar(value) else as_array(value) for value in values]
    first = np.shape(arrays[0])
    for number, array in enumerate(arrays):
        if np.shape(array) != first:
            raise DataError(
                f"item {number} of a torch Dataset has shape {np.shape(array)}, item 0 {first}; "
                "make them alike with a transform"
            )
    return np.stack(arrays)
