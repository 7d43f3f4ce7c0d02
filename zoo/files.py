"""Files that are at every moment the old one or the new one, and what they hold by its hash."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from pathlib import Path

from zoo.errors import ConfigError


def as_path(given: object, option: str) -> Path:
    """What a caller names as a path, ``~`` expanded. Raises ConfigError for what can be none.

    >>> as_path("runs/mine", "directory").as_posix()
    'runs/mine'
    """
    try:
        path = Path(given).expanduser()  # type: ignore[arg-type]
    except (TypeError, RuntimeError) as error:  # RuntimeError: "~name" of a user there is not
        raise ConfigError(f"{option} must be a path, got {given!r:.100}: {error}") from error
    if "\0" in str(path):
        raise ConfigError(f"{option} must be a path, got {given!r:.100}: it holds a null character")
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path``, wait for the disk, and rename.

    A kill may leave a file ``.zoo-*.tmp`` beside it. Raises OSError, also for a device or a pipe,
    which renaming would replace by a file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "exists and is no regular file", str(path))
    temporary = path.parent / f".zoo-{uuid.uuid4().hex}.tmp"  # the same disk: a rename is atomic
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The hash of a file's content, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _flush_folder(folder: Path) -> None:
    """Wait until the folder's list of names is on the disk, else a power cut may undo a rename."""
    if os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
