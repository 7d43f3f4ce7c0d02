"""The idx format of MNIST and its relatives, plain or gzipped, read into tensors at once."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zoo.errors import DataError

UNSIGNED_BYTE = 0x08


def find_idx(path: Path) -> Path | None:
    """``path`` itself or its gzipped form, whichever is there."""
    zipped = path.with_name(path.name + ".gz")
    return next((file for file in (path, zipped) if file.is_file()), None)


def read_idx(path: Path) -> Tensor:
    """The uint8 tensor in ``path``; DataError if the file is damaged or holds another type."""
    data = _read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTE:
        raise DataError(f"{path} is not an idx file of unsigned bytes; delete it and get it anew")
    dimensions = data[3]
    start = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", data[4:start]) if len(data) >= start else ()
    values = np.frombuffer(data, dtype=np.uint8)[start:]
    if not shape or values.size != int(np.prod(shape)):
        raise DataError(f"{path} is damaged: it ends early or late; delete it and get it anew")
    return torch.from_numpy(values.reshape(shape).copy())


def _read_bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}; delete it and get it anew") from error
