"""NumPy files -> splits. Nothing is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data.partition import Splits, complete
from zoo.data.split import Split
from zoo.errors import DataError, did_you_mean

Array: TypeAlias = NDArray[Any]

SPLIT_KEYS = ("train", "validation", "test")
KEYS = ("images", "labels", *SPLIT_KEYS, *(f"{key}_labels" for key in SPLIT_KEYS))


def load_arrays(path: Path) -> Splits:
    """Images of a ``.npy`` or ``.npz`` file: (N, H, W), (N, H, W, C) or (N, C, H, W), C 1 or 3.

    uint8 in 0..255, or floats in [0, 1], or booleans; a uint8 file of zeros and ones only counts
    as black and white. A ``.npz`` holds ``images`` and perhaps ``labels``, or ``train`` and
    perhaps ``validation`` and ``test``, each perhaps with ``train_labels`` and so on. A split
    that is missing is held out of the training images, a tenth of them. Raises DataError.
    """
    arrays = _read(path)
    if "images" in arrays:
        arrays = {"train" if k == "images" else "train_labels": a for k, a in arrays.items()}
    parts = {key: _channels_first(arrays[key], key) for key in SPLIT_KEYS if key in arrays}
    for key, part in parts.items():
        if part.shape[1:] != parts["train"].shape[1:] or part.dtype != parts["train"].dtype:
            raise DataError(
                f"{key} holds {part.dtype} of shape {part.shape} but train "
                f"{parts['train'].dtype} of shape {parts['train'].shape}; make them alike"
            )
    # Judged together, so that a split that happens to be dark is not scaled apart.
    images = _grey_levels(np.ascontiguousarray(np.concatenate(list(parts.values()))))
    pieces = torch.from_numpy(images).split_with_sizes([len(part) for part in parts.values()])
    splits = {
        key: Split(piece, _labels(arrays, key, len(piece)))
        for key, piece in zip(parts, pieces, strict=True)
    }
    return complete(splits["train"], splits.get("validation"), splits.get("test"))


def _read(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:  # NumPy leaves a damaged file open that it opened itself
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"train": content}
            _check_keys(content.files)
            return {key: content[key] for key in content.files}
    # NumPy's ValueError covers what is no NumPy file, and arrays of Python objects.
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"cannot be read as a NumPy file of numbers: {error}") from error


def _check_keys(keys: list[str]) -> None:
    for key in keys:
        if key not in KEYS:
            raise DataError(
                f"unknown array {key!r}{did_you_mean(key, KEYS)}. Allowed: {', '.join(KEYS)}"
            )
    beside = sorted(set(keys) - {"images", "labels"})
    if ("images" in keys) == ("train" in keys) or ("images" in keys and beside):
        raise DataError(
            "give either images (and labels), or train (and validation, test and their labels); "
            f"the file holds {', '.join(keys) or 'nothing'}"
        )


def _channels_first(array: Array, key: str) -> Array:
    """(N, C, H, W). Where both orders fit, the last dimension counts as the channels."""
    shape = array.shape
    if 0 not in shape:
        if len(shape) == 3:
            return np.expand_dims(array, 1)
        if len(shape) == 4 and shape[3] in (1, 3):
            return np.moveaxis(array, 3, 1)
        if len(shape) == 4 and shape[1] in (1, 3):
            return array
    raise DataError(
        f"{key} has shape {shape}; allowed are (N, H, W), (N, H, W, C) and (N, C, H, W) "
        "with C = 1 or 3 and nothing empty"
    )


def _grey_levels(images: Array) -> NDArray[np.uint8]:
    """uint8 in 0..255."""
    if images.dtype in (np.bool_, np.uint8):
        only_zeros_and_ones = images.max() == 1
        scaled: NDArray[np.uint8] = images.astype(np.uint8)
        scaled *= 255 if only_zeros_and_ones else 1
        return scaled
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(
            f"images are {images.dtype}; allowed are uint8 in 0..255, floats in [0, 1] and booleans"
        )
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise DataError(
            f"float images must lie in [0, 1], got {low:g} to {high:g}; rescale them, "
            "or store them as uint8 in 0..255"
        )
    levels: NDArray[np.uint8] = np.rint(images * 255).astype(np.uint8)
    return levels


def _labels(arrays: Mapping[str, Array], key: str, count: int) -> Tensor | None:
    labels = arrays.get(f"{key}_labels")
    if labels is None:
        return None
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"the labels of {key} must be integers of shape ({count},), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    return torch.from_numpy(labels.astype(np.int64))
