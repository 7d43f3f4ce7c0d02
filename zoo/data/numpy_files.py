"""Arrays of ``.npy`` and ``.npz`` files. Nothing is unpickled, and nothing believed of a size.

Read here and not by ``numpy.load``, which allocates what a header announces, reads headers of any
length, and lets a damaged file end in errors of a dozen types.
"""

from __future__ import annotations

import ast
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError

Array: TypeAlias = NDArray[Any]

MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK"
LENGTH_FORMATS = {1: "<H", 2: "<I", 3: "<I"}
"""Of a header's length, by the major version of the format."""
MOST_HEADER = 4096
DTYPE = re.compile(r"[<>|=]?([biuf]\d{1,2}|\?)")
CHUNK = 2**20
MOST_DEFLATED = 1032
"""Bytes that one deflated byte can stand for, at the most."""
SUFFIX = ".npy"


def read_arrays(path: Path, check: Callable[[list[str]], None]) -> dict[str, Array]:
    """The arrays of a file by their names; a ``.npy`` file's only one is called ``train``.

    ``check`` is given the names before anything else is read. Raises DataError for files that are
    damaged, encrypted, compressed by what NumPy does not use, or hold other than numbers.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
                return _read_archive(file, path.stat().st_size, check)
            file.seek(0)
            return {"train": _read_array(file, path.stat().st_size)}
    # What the standard library raises for damaged zips; NotImplementedError for newer versions.
    except (
        OSError, EOFError, ValueError, NotImplementedError, struct.error, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        raise DataError(f"cannot be read as a NumPy file of numbers: {error}") from error


def _read_archive(
    file: IO[bytes], size: int, check: Callable[[list[str]], None]
) -> dict[str, Array]:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(SUFFIX): info for info in archive.infolist()}
        check(list(members))
        for info in members.values():
            _check_member(info, size)
        arrays = {}
        for name, info in members.items():
            with archive.open(info) as member:
                arrays[name] = _read_array(cast("BufferedIOBase", member), info.file_size)
        return arrays


def _check_member(info: zipfile.ZipInfo, size: int) -> None:
    if info.flag_bits & 1:
        raise ValueError(f"{info.filename} is encrypted; save it without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(
            f"{info.filename} is compressed by method {info.compress_type}, which NumPy does not "
            "use; save it with numpy.savez_compressed"
        )
    if info.file_size > MOST_DEFLATED * min(info.compress_size, size) + CHUNK:
        raise ValueError(f"{info.filename} announces {info.file_size:,} bytes, it is damaged")


def _read_array(file: IO[bytes] | BufferedIOBase, size: int) -> Array:
    """One array of the NPY format that fills ``size`` bytes of ``file``."""
    shape, dtype, by_columns = _read_header(file)
    announced = math.prod(shape) * dtype.itemsize
    if 0 in shape:
        raise ValueError(f"an array of shape {shape}; allowed is nothing empty")
    held = size - file.tell()
    if announced != held:
        raise ValueError(
            f"an array {dtype} of shape {shape} has {announced:,} bytes, the file holds {held:,}"
        )
    content = np.empty(announced, np.uint8)
    _fill(file, content.data)
    if file.read(1):  # at its end a zip's member is compared with its checksum
        raise ValueError("it goes on behind its end")
    return content.view(dtype).reshape(shape, order="F" if by_columns else "C")


def _read_header(file: IO[bytes] | BufferedIOBase) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, type, and whether columns are contiguous."""
    start = file.read(len(MAGIC) + 2)  # the magic string, then two bytes of the version
    form = LENGTH_FORMATS.get(start[len(MAGIC)]) if len(start) == len(MAGIC) + 2 else None
    if form is None or not start.startswith(MAGIC):
        raise ValueError("it holds something else than an array")
    (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
    if length > MOST_HEADER:
        raise ValueError(f"a header of {length:,} bytes; allowed are {MOST_HEADER:,}")
    return _parsed(file.read(length).decode("latin-1"))


def _parsed(header: str) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    try:
        fields = ast.literal_eval(header.strip())
        shape, descr, by_columns = fields["shape"], fields["descr"], fields["fortran_order"]
        whole = [type(n) is int and 0 <= n < 2**63 for n in shape]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise ValueError(f"a header that is none: {header.strip()[:80]!r}") from error
    if not all(whole) or type(by_columns) is not bool:
        raise ValueError(f"a header that is none: {header.strip()[:80]!r}")
    return tuple(shape), _numbers(descr), by_columns


def _numbers(descr: object) -> np.dtype[Any]:
    """The type of that description where it is one of real numbers."""
    if descr == "|O":
        raise ValueError("it holds Python objects, which only pickle could read")
    try:
        if isinstance(descr, str) and DTYPE.fullmatch(descr):
            return np.dtype(descr)
    except TypeError:
        pass  # of a size there is not
    raise ValueError(f"it holds {str(descr)[:80]}; allowed are booleans, integers and floats")


def _fill(file: IO[bytes] | BufferedIOBase, content: memoryview) -> None:
    filled = 0
    while filled < len(content):
        part = file.read(min(CHUNK, len(content) - filled))
        if not part:
            raise EOFError(f"it ends after {filled:,} of {len(content):,} bytes")
        content[filled : filled + len(part)] = part
        filled += len(part)
