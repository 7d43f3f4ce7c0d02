"""The idx format of MNIST and its relatives, plain or gzipped, read into tensors at once."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import torch
from torch import Tensor

from zoo.errors import DataError

UNSIGNED_BYTE = 0x08
MOST_BYTES = 2**30
"""The largest set there is, EMNIST by class, has 547 MB of images."""
LARGE, CHUNK = 2**27, 2**20
MOST_DEFLATED = 1032
"""Bytes that gzip can make of one."""


def find_idx(path: Path) -> Path | None:
    """``path`` itself or its gzipped form, whichever is there."""
    zipped = path.with_name(path.name + ".gz")
    return next((file for file in (path, zipped) if file.is_file()), None)


def read_idx(path: Path, dimensions: int) -> Tensor:
    """The uint8 tensor in ``path``, of so many dimensions.

    Never more is read than the file announces. Raises DataError if it is damaged or holds
    something else.
    """
    try:
        with _opened(path) as file:
            return _read(file, path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}; delete it and get it anew") from error


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _read(file: BinaryIO, path: Path, dimensions: int) -> Tensor:
    if file.read(4) != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise DataError(
            f"{path} is not an idx file of unsigned bytes in {dimensions} dimensions; delete it "
            "and get it anew"
        )
    sizes = file.read(4 * dimensions)
    shape = struct.unpack(f">{dimensions}I", sizes) if len(sizes) == 4 * dimensions else ()
    count = math.prod(shape) if shape else 0
    if 0 < count <= MOST_BYTES and _holds(file, path, count):
        values = torch.empty(count, dtype=torch.uint8)
        if _fill(file, values.numpy().data) and not file.read(1):
            return values.view(shape)
    raise DataError(f"{path} is damaged: it ends early or late; delete it and get it anew")


def _holds(file: BinaryIO, path: Path, count: int) -> bool:
    """Whether so many bytes may follow: a few bytes that announce many take no memory."""
    start, size = file.tell(), path.stat().st_size
    if path.suffix != ".gz":
        return size == start + count
    if count > LARGE:  # unpacked twice, the first time to see that it is whole
        while file.read(CHUNK):
            if file.tell() > start + count:
                return False
        end = file.tell()
        file.seek(start)
        return end == start + count
    return count <= MOST_DEFLATED * size


def _fill(file: BinaryIO, values: memoryview) -> bool:
    """Whether the file has so many bytes more; they are read into ``values``."""
    done = 0
    while done < len(values):
        read = file.readinto(values[done:])  # type: ignore[attr-defined]
        if not read:
            return False
        done += read
    return True
