"""Damaged, hostile and odd NumPy files: each is a DataError at once, in little memory."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.data import load_dataset
from zoo.data.numpy_files import read_arrays
from zoo.errors import DataError

EIGHT = np.arange(128, dtype=np.uint8).reshape(8, 4, 4)
SHAPE = "(8, 4, 4)"


def npy(header: str | bytes | None = None, content: bytes | None = None, version: int = 1) -> bytes:
    """A file of the NPY format, with that header where one is given."""
    if header is None:
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {SHAPE}, }}\n"
    header = header if isinstance(header, bytes) else header.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    content = EIGHT.tobytes() if content is None else content
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + content


def described(descr: str, shape: str = SHAPE, order: str = "False") -> bytes:
    return npy(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")


def npz(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return bytearray(file.getvalue())


def patched(archive: bytearray, offset: int, value: bytes) -> bytes:
    """A field of the only member, by its place in the central directory, in both headers."""
    central = archive.index(b"PK\x01\x02")
    archive[central + offset : central + offset + len(value)] = value
    local = offset - 2 if offset < 28 else offset  # without the version that made it
    archive[local : local + len(value)] = value
    return bytes(archive)


FLAGS, METHOD, COMPRESSED, SIZE = 8, 10, 20, 24
HUGE = struct.pack("<I", 2**32 - 2)
DAMAGED = {
    "no file": b"",
    "magic alone": b"\x93NUMPY",
    "half a length": b"\x93NUMPY\x01\x00\x10",
    "version 9": npy(version=9),
    "a header of 4 GB": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b" " * 99,
    "a header that is cut": npy()[:30],
    "brackets": npy("(" * 4000),
    "minus signs": npy("-" * 4000 + "1"),
    "a call": npy("{'descr': open('x', 'w'), 'fortran_order': False, 'shape': (1,)}"),
    "a list": npy("[1, 2]"),
    "a number": npy("3"),
    "bytes that are no text": npy(b"\xff\x00\xfe" * 9),
    "a null": npy("{'descr': '|u1'\x00}"),
    "a key less": npy("{'descr': '|u1', 'shape': (8, 4, 4)}"),
    "a huge shape": described("'|u1'", "(4611686018427387904, 4, 4)"),
    "an endless shape": described("'|u1'", f"(1{'0' * 900}, 4, 4)"),
    "a huge empty shape": described("'|u1'", "(0, 4611686018427387904, 4611686018427387904)"),
    "many axes": described("'|u1'", f"({'1, ' * 99} 128)"),
    "a negative shape": described("'|u1'", "(-8, 4, -4)"),
    "a shape of floats": described("'|u1'", "(8.0, 4, 4)"),
    "a shape of truths": described("'|u1'", "(True, 128, 1)"),
    "a shape that is a number": described("'|u1'", "8"),
    "an order that is none": described("'|u1'", order="3"),
    "objects": described("'|O'"),
    "text": described("'<U4'", "(8, 1, 1)"),
    "dates": described("'<M8[s]'", "(2, 2, 4)"),
    "complex numbers": described("'<c8'", "(4, 2, 2)"),
    "a structure": described("[('a', '<u1')]"),
    "structures": described("'u1,u1'", "(8, 2, 4)"),
    "a type there is not": described("'<f3'"),
    "a type of a huge size": described("'V99999999999999999999'"),
    "a longer array": npy(content=EIGHT.tobytes()[:-1]),
    "two arrays": npy() * 2,
    "a pickle": b"\x80\x04N.",
    "an encrypted member": patched(npz(images=npy()), FLAGS, b"\x01"),
    "deflate64": patched(npz(images=npy()), METHOD, b"\x09"),
    "a method there is not": patched(npz(images=npy()), METHOD, b"\x63"),
    "LZMA": npz(zipfile.ZIP_LZMA, images=npy()),
    "bzip2": npz(zipfile.ZIP_BZIP2, images=npy()),
    "a member that is no array": npz(images=b"hello, world"),
    "an empty member": npz(images=b""),
    "a member of 4 GB": patched(npz(images=npy()), SIZE, HUGE),
    "a member of 4 GB in 4 GB": patched(npz(images=npy()), COMPRESSED, HUGE * 2),
    "a stored member of 4 GB": patched(npz(zipfile.ZIP_STORED, images=npy()), COMPRESSED, HUGE * 2),
    "a wrong checksum": patched(npz(zipfile.ZIP_STORED, images=npy()), 16, b"abcd"),
    "a directory alone": bytes(npz(images=npy())[-100:]),
    "the first half": bytes(npz(images=npy())[:90]),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_damage_is_a_data_error_in_little_memory(damage: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(DAMAGED[damage])
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"mine\.np[yz]: cannot be read as a NumPy file of num"):
            load_dataset(path)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


WHOLE = [npy(), npz(images=npy()), npz(zipfile.ZIP_STORED, images=npy(), labels=described("'<i8'"))]


@given(
    which=st.sampled_from(WHOLE),
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 900),
)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_changed_bytes_end_in_a_data_error_or_an_array(
    which: bytes, changes: list[tuple[int, int]], cut: int, tmp_path: Path
) -> None:
    damaged = bytearray(which)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    path = tmp_path / "mine.npy"
    path.write_bytes(damaged[: cut or None])
    try:
        load_dataset(path)
    except DataError as error:
        assert "mine.npy" in str(error)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["?", "u1", "<u2", ">u4", "<i8", ">f2", "<f4", ">f8"])
def test_arrays_come_back_as_numpy_reads_them(order: Any, kind: str, tmp_path: Path) -> None:
    array = np.asarray(EIGHT.reshape(8, 16) % 7, dtype=kind, order=order)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", a=array, b=array[:, :3])
    np.savez_compressed(tmp_path / "y.npz", a=array, b=array[:, :3])
    (single,) = read_arrays(tmp_path / "x.npy", list).values()
    assert single.dtype == array.dtype
    np.testing.assert_array_equal(single, array)
    for name in ("x.npz", "y.npz"):
        found = read_arrays(tmp_path / name, list)
        np.testing.assert_array_equal(found["a"], array)
        np.testing.assert_array_equal(found["b"], array[:, :3])


def test_headers_of_other_writers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    for version in (1, 2, 3):
        path.write_bytes(
            npy(f'{{"shape":{SHAPE},"fortran_order":False,"descr":"|u1"}}', None, version)
        )
        np.testing.assert_array_equal(read_arrays(path, list)["train"], EIGHT)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """Opening a FIFO would wait for ever."""
    os.mkfifo(tmp_path / "mine.npy")
    with pytest.raises(DataError, match="expected a folder of images"):
        load_dataset(tmp_path / "mine.npy")
