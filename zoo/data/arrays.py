"""Arrays -> splits of images or of vectors, with the columns that are known of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data.examples import COLUMNS, Examples
from zoo.data.numpy_files import Array, read_arrays
from zoo.data.partition import with_held_out
from zoo.data.split import LEVELS, Split
from zoo.data.vectors import VectorSplit
from zoo.errors import DataError, did_you_mean

PARTS = ("train", "validation", "test")
WHOLE = ("images", "vectors", "X")
"""Names of all examples, of which validation and test are held out."""
ALIASES = {"y": "labels"}
KEYS = (*WHOLE, *COLUMNS, *ALIASES, *PARTS, *(f"{p}_{c}" for p in PARTS for c in COLUMNS))
LARGEST_INTEGER = 2**24
"""Up to which float32 holds every integer exactly."""
FLOAT32_MAX = float(np.finfo(np.float32).max)
ROUNDING = 1e-4
"""How far, in levels, floats that are 8-bit levels may be from them."""

_ALPHA_HINT = "; image_channels=1 or 3 (--image-channels) leaves alpha out"

ArraySplits: TypeAlias = tuple[Examples, Examples, Examples]


def load_arrays(path: Path, without_alpha: bool = False, whole: bool = False) -> ArraySplits:
    """The splits of a ``.npy`` or ``.npz`` file; see :func:`split_arrays`. Raises DataError."""
    return split_arrays(read_arrays(path, check_keys), without_alpha, whole)


def split_arrays(
    arrays: Mapping[str, Array], without_alpha: bool = False, whole: bool = False
) -> ArraySplits:
    """Splits of arrays by name: ``train``, and perhaps ``validation`` and ``test``; or all in one.

    All are called ``images``, ``vectors`` or ``X``; what is missing is held out of the training
    examples, a tenth of them. Where all are in one and to stay ``whole``, each split is all. Three
    or four axes are images, (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3, or 2 or 4 where
    ``without_alpha`` leaves out the last: uint8 in 0..255, booleans, or floats in [0, 1], which are
    kept as float32 unless they are 8-bit levels; uint8 zeros and ones alone count as black and
    white. Two axes are vectors (N, D) of any real numbers, kept as float32.

    Beside them ``labels`` (or ``y``) and ``condition`` number classes, (N,) integers, or are
    numbers, (N,) or (N, L) floats; ``observed`` is False where a value is missing, which may
    then be anything, such as NaN. Those of the parts are called ``train_labels`` and so on.

    Raises DataError for what is none of this.
    """
    check_keys(list(arrays))
    parts = parts_of(arrays)
    is_vectors = _is_vectors(parts["train"]["x"], arrays)
    for part, columns in parts.items():
        _arrange(columns, part, is_vectors, without_alpha)
        _check_alike(columns["x"], parts["train"]["x"], part)
    # Judged together, so that a split that happens to be dark is not scaled apart.
    every = np.concatenate([columns["x"] for columns in parts.values()])
    rows = torch.from_numpy(_real_vectors(every) if is_vectors else _intensities(every))
    pieces = rows.split_with_sizes([len(columns["x"]) for columns in parts.values()])
    kind = VectorSplit if is_vectors else Split
    splits: dict[str, Examples] = {
        part: kind(piece, *(column_of(columns, name, part, len(piece)) for name in COLUMNS))
        for (part, columns), piece in zip(parts.items(), pieces, strict=True)
    }
    return with_held_out(splits["train"], splits.get("validation"), splits.get("test"), whole)


def check_keys(keys: list[str]) -> None:
    """Raise DataError for names of arrays that are unknown or do not go together."""
    for key in keys:
        if key not in KEYS:
            raise DataError(
                f"unknown array {key!r}{did_you_mean(key, KEYS)} Allowed: {', '.join(KEYS)}"
            )
    whole = [key for key in keys if key in WHOLE]
    beside = [key for key in keys if key not in (*WHOLE, *COLUMNS, *ALIASES)]
    loose = [ALIASES.get(key, key) for key in keys if key in (*COLUMNS, *ALIASES)]
    mixed = beside if whole else loose
    if len(whole) + ("train" in keys) != 1 or mixed or len(set(loose)) < len(loose):
        raise DataError(
            "give either images, vectors or X (and labels or y, condition, observed), or train "
            "(and validation, test, and train_labels and so on); "
            f"given: {', '.join(keys) or 'nothing'}"
        )
    for key in beside:
        if key.partition("_")[0] not in keys:
            raise DataError(f"{key} belongs to {key.partition('_')[0]}, which is missing")


def parts_of(arrays: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """The arrays of each part: its examples as "x", and its columns."""
    parts: dict[str, dict[str, Array]] = {part: {} for part in PARTS if part in arrays}
    parts = parts or {"train": {}}
    for key, array in arrays.items():
        part, _, column = key.partition("_")
        if part not in PARTS:
            part, column = "train", "" if key in WHOLE else ALIASES.get(key, key)
        parts[part][column or "x"] = array
    return parts


def _is_vectors(train: Array, arrays: Mapping[str, Array]) -> bool:
    if "images" in arrays:
        return False
    return "vectors" in arrays or train.ndim == 2


def _arrange(columns: dict[str, Array], part: str, is_vectors: bool, without_alpha: bool) -> None:
    """Bring examples and mask to (N, D) or (N, C, H, W); what is missing becomes 0."""
    arranged = _two_axes if is_vectors else _opaque if without_alpha else _channels_first
    observed = columns.get("observed")
    if observed is None:
        columns["x"] = arranged(columns["x"], part)
        return
    if observed.shape != columns["x"].shape or not np.isin(observed, (0, 1)).all():
        raise DataError(
            f"observed of {part} must be booleans of shape {columns['x'].shape}, "
            f"got {observed.dtype} of shape {observed.shape}"
        )
    columns["observed"] = arranged(observed.astype(np.bool_), part)
    x = arranged(columns["x"], part)
    columns["x"] = np.where(columns["observed"], x, np.zeros((), x.dtype))


def _check_alike(array: Array, train: Array, part: str) -> None:
    if array.shape[1:] != train.shape[1:] or array.dtype != train.dtype:
        raise DataError(
            f"{part} holds {array.dtype} of shape {array.shape} but train "
            f"{train.dtype} of shape {train.shape}; make them alike"
        )


def _two_axes(array: Array, part: str) -> Array:
    if array.ndim == 2 and 0 not in array.shape:
        return array
    raise DataError(f"{part} has shape {array.shape}; vectors have (N, D) and nothing empty")


def _channels_first(array: Array, part: str) -> Array:
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
        f"{part} has shape {shape}; allowed are images (N, H, W), (N, H, W, C) and (N, C, H, W) "
        "with C = 1 or 3, vectors (N, D), and nothing empty"
        f"{_ALPHA_HINT * bool({2, 4} & {*shape[1::2]} and len(shape) == 4)}"
    )


def _opaque(array: Array, part: str) -> Array:
    """The same of images with alpha as well, which is left out."""
    shape = array.shape
    if len(shape) == 4 and not {1, 3} & {shape[1], shape[3]}:
        if shape[3] in (2, 4):
            return _channels_first(array[..., :-1], part)
        if shape[1] in (2, 4):
            return _channels_first(array[:, :-1], part)
    return _channels_first(array, part)


def _intensities(images: Array) -> Array:
    """uint8 in 0..255 where nothing is lost by it, else float32 in [0, 1]."""
    if images.dtype in (np.bool_, np.uint8):
        only_zeros_and_ones = images.max() == 1
        scaled: NDArray[np.uint8] = images.astype(np.uint8)
        scaled *= LEVELS if only_zeros_and_ones else 1
        return scaled
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(
            f"images are {images.dtype}; allowed are uint8 in 0..255, floats in [0, 1] and booleans"
        )
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise DataError(
            f"float images must lie in [0, 1], got {low:g} to {high:g}; rescale them, "
            "or store them as uint8 in 0..255; missing pixels need an array 'observed'"
        )
    return _as_levels(images.astype(np.float32), float(np.finfo(images.dtype).eps))


def _as_levels(images: NDArray[np.float32], eps: float) -> Array:
    """Floats that are 8-bit levels but for rounding as such, in a quarter of the memory."""
    scaled = images * np.float32(LEVELS)
    levels = np.rint(scaled)
    scaled -= levels
    is_levels = max(scaled.max(), -scaled.min()) <= max(ROUNDING, LEVELS / 2 * eps)
    return levels.astype(np.uint8) if is_levels else images


def _real_vectors(array: Array) -> NDArray[np.float32]:
    """float32 of real numbers, of which nothing is lost but what rounding of floats takes."""
    if array.dtype.kind not in "biuf":
        raise DataError(f"vectors are {array.dtype}; allowed are floats, integers and booleans")
    low, high = array.min(), array.max()
    if array.dtype.kind in "iu" and max(-int(low), int(high)) > LARGEST_INTEGER:
        raise DataError(
            f"vectors of integers must lie within ±{LARGEST_INTEGER:,}, beyond which float32 loses "
            f"digits, got {low} to {high}; rescale them, or give floats"
        )
    if not max(-float(low), float(high)) <= FLOAT32_MAX:  # also true for NaN
        raise DataError(
            f"vectors must be finite float32 numbers, got {low:g} to {high:g}; rescale them; "
            "missing values need an array 'observed' that is False for them, or a model of tables, "
            "such as 'tabular-vae'"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def column_of(columns: Mapping[str, Array], name: str, part: str, count: int) -> Tensor | None:
    """Labels, condition or mask of a part of so many examples, where there are such.

    Raises DataError for others.
    """
    column = columns.get(name)
    if column is None or name == "observed":
        return None if column is None else torch.from_numpy(np.ascontiguousarray(column))
    is_numbers = column.dtype.kind in "biuf" and bool(np.isfinite(column).all())
    if not is_numbers or column.ndim not in (1, 2) or len(column) != count:
        raise DataError(
            f"the {name} of {part} must be integers or finite floats of shape ({count},) or "
            f"({count}, L), got {column.dtype} of shape {column.shape}"
        )
    kind = np.float32 if column.dtype.kind == "f" else np.int64
    return torch.from_numpy(np.array(column, dtype=kind, order="C"))
