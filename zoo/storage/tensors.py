"""Safetensors files with a digest of themselves: written whole or not at all, read only if sound.

A file's string metadata begins with ``"zoo.digest"``: the SHA-256 of every other byte of the file,
so a bit that flips anywhere is noticed. Files that other tools or earlier versions wrote have none;
they are read as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from zoo.errors import CheckpointError
from zoo.files import write_atomically

HEADER_CAP = 4 * 2**20
"""The longest header accepted, in bytes: names and metadata. Far above any real file's."""

_DIGEST_KEY = "zoo.digest"
_LENGTH_BYTES = 8  # of the header, first in the file
_UNSET = "sha256:" + "0" * 64  # as long as every digest
# By its key or by its form: a bit may flip in either. Quotes within strings are escaped, so nothing
# that a description says is taken for the digest.
_DIGEST = re.compile(rb'"zoo\.digest":"(?P<keyed>[^"]*)"|"(?P<formed>sha256:[0-9a-f]{64})"')
_BEGINNINGS = {
    b"PK\x03\x04": "is a zip archive, as torch.save writes; it holds pickles, which can run code "
    "when opened, so zoo never reads them. Load it with the tool that wrote it, then zoo's save",
    b"\x80": "is a pickle, which can run code when opened, so zoo never reads it. "
    "Load it with the tool that wrote it, then zoo's save",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself; run 'git lfs pull'",
    b"<": "is a web page, not a checkpoint; check the address it was downloaded from",
}


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file so that ``path`` is at every moment the old file or the new one.

    Raises CheckpointError when the folder does not exist or cannot be written, and for a header
    that :func:`read_tensors` would refuse.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(Path(folder) / "x.safetensors", {"x": torch.arange(3)}, {"unit": "m"})
    ...     read_tensors(Path(folder) / "x.safetensors")
    ({'x': tensor([0, 1, 2])}, {'unit': 'm'})
    """
    path = Path(path)
    try:
        # safetensors' own save_file makes files that no other user may read, whatever the umask.
        write_atomically(path, _sealed(serialize(_separated(tensors)), metadata, path))
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot write {path}: {error}; choose an existing folder you may write to, with "
            f"room on its disk"
        ) from error


def read_tensors(
    path: str | Path, device: str | torch.device = "cpu"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, on ``device``, and its string metadata.

    Raises CheckpointError when the file is missing, damaged or something else.
    """
    with opened(Path(path)) as file:
        # A copy, so that nothing that later happens to the mapped file reaches the tensors.
        tensors = {name: file.get_tensor(name).to(device, copy=True) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    return tensors, {key: value for key, value in metadata.items() if key != _DIGEST_KEY}


@contextmanager
def opened(path: Path, *, verify: bool = True) -> Iterator[Any]:
    """The memory-mapped file, once its beginning and, with ``verify``, its digest are sound."""
    _check_beginning(path)
    try:
        if verify:
            _check_digest(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is damaged or was cut short ({error}); fetch or copy it again"
        ) from error


def _sealed(content: bytes, metadata: Mapping[str, str], path: Path) -> bytes:
    """The serialised tensors with the digest and ``metadata``, in this order."""
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    described = {"__metadata__": {_DIGEST_KEY: _UNSET, **metadata}}
    entries = described | json.loads(content[_LENGTH_BYTES:start])
    header = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # so that tensors stay aligned
    if len(header) > HEADER_CAP:
        raise CheckpointError(
            f"cannot write {path}: its header of names and metadata has {len(header)} bytes, only "
            f"{HEADER_CAP} are read; shorten what is said of the training, or merge tensors"
        )
    before, _, after = header.partition(_UNSET.encode())
    before = len(header).to_bytes(_LENGTH_BYTES, "little") + before
    body = memoryview(content)[start:]
    digest = hashlib.sha256(before + after)
    digest.update(body)
    return b"".join((before, f"sha256:{digest.hexdigest()}".encode(), after, body))


def _separated(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CPU copies where needed: safetensors takes contiguous tensors that share no storage."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        if own.untyped_storage().data_ptr() in seen:
            own = own.clone()
        seen.add(own.untyped_storage().data_ptr())
        result[name] = own
    return result


def _check_digest(path: Path) -> None:
    """Raise CheckpointError when the file has a digest that is not that of its other bytes."""
    with path.open("rb") as file:
        length = file.read(_LENGTH_BYTES)
        header = file.read(int.from_bytes(length, "little"))
        found = _DIGEST.search(header)
        if found is None:
            return
        start, end = found.span("keyed" if found["keyed"] is not None else "formed")
        digest = hashlib.sha256(length + header[:start] + header[end:])
        while chunk := file.read(2**20):
            digest.update(chunk)
    if header[start:end] != f"sha256:{digest.hexdigest()}".encode():
        raise CheckpointError(
            f"{path} is damaged: its content is not what was written, by the SHA-256 it carries; "
            f"fetch or copy it again"
        )


def _check_beginning(path: Path) -> None:
    """Refuse what is no safetensors file, before any of it is parsed."""
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder; name a .safetensors file in it")
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is not a regular file; name a .safetensors file")
        with path.open("rb") as file:
            beginning, size = file.read(64), os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}; check the path") from error
    except (OSError, ValueError) as error:  # the latter for a path with a null byte
        raise CheckpointError(f"cannot read {path}: {error}") from error
    header = int.from_bytes(beginning[:_LENGTH_BYTES], "little")
    if beginning[8:9] != b"{" or header > HEADER_CAP or _LENGTH_BYTES + header > size:
        _refuse_beginning(path, beginning, size, header)


def _refuse_beginning(path: Path, beginning: bytes, size: int, header: int) -> NoReturn:
    again = "fetch or copy it again"
    if size < 9:
        raise CheckpointError(f"{path} has only {size} bytes: it was cut short; {again}")
    if beginning[8:9] == b"{":
        cause = (
            f"more than the {HEADER_CAP} allowed" if header > HEADER_CAP else f"the file has {size}"
        )
        raise CheckpointError(
            f"{path} is damaged or was cut short: it announces a header of {header} bytes, "
            f"{cause}; {again}"
        )
    for start, what in _BEGINNINGS.items():
        if beginning.startswith(start):
            raise CheckpointError(f"{path} {what}.")
    raise CheckpointError(f"{path} is not a safetensors file; name one that zoo saved")
