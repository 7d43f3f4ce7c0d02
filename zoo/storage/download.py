"""One file from one mirror, under a temporary name until it is known to be the right one."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from urllib3.exceptions import HTTPError

from zoo.environment import offline
from zoo.registry import CheckpointSpec

ATTEMPTS = 3
BACKOFF_SECONDS = 0.5
STALL_SECONDS = 20.0
SLOWEST_BYTES_PER_SECOND = 10_000
CHUNK_BYTES = 2**16


class MirrorError(Exception):
    """Why a mirror did not give the file. ``transient``: another attempt may go better."""

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


def from_mirror(url: str, spec: CheckpointSpec, target: Path) -> None:
    """Put the file at ``target``, trying again where that may help.

    Raises MirrorError, or OSError when it cannot be written.
    """
    for attempt in itertools.count():
        try:
            _attempt(url, spec, target)
            return
        except MirrorError as error:
            if not error.transient or attempt + 1 >= ATTEMPTS:
                raise
        time.sleep(BACKOFF_SECONDS * 2**attempt)


def _attempt(url: str, spec: CheckpointSpec, target: Path) -> None:
    """Receive the file under a temporary name; it gets its own only when it is the right one."""
    part = target.with_name(f".{spec.file}.{uuid.uuid4().hex}.part")
    digest = hashlib.sha256()
    received = 0
    try:
        with closing(_chunks(url, spec)) as chunks, part.open("wb") as file, _bar(spec) as advance:
            for chunk in chunks:
                received += len(chunk)
                if received > spec.bytes:
                    raise MirrorError(f"sends more than the {spec.bytes} bytes registered")
                digest.update(chunk)
                file.write(chunk)
                advance(len(chunk))
            file.flush()
            os.fsync(file.fileno())
        if received < spec.bytes:
            raise MirrorError(f"sent only {received} of {spec.bytes} bytes", transient=True)
        if digest.hexdigest() != spec.sha256:
            raise MirrorError(f"sent other content, with SHA-256 {digest.hexdigest()}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _chunks(url: str, spec: CheckpointSpec) -> Generator[bytes, None, None]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise MirrorError(f"not a valid address: {error}") from error
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return _file_chunks(Path(url2pathname(parts.path)), spec)
    if parts.scheme not in ("http", "https"):
        raise MirrorError("not an address of the form http://, https:// or file:///")
    if offline():
        raise MirrorError("not tried, for ZOO_OFFLINE is set; unset it to download")
    return _http_chunks(url, spec)


def _file_chunks(path: Path, spec: CheckpointSpec) -> Generator[bytes, None, None]:
    try:
        if not path.is_file():
            raise MirrorError("there is no such file")
        _check_size(path.stat().st_size, spec)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise MirrorError(str(error)) from error


def _http_chunks(url: str, spec: CheckpointSpec) -> Generator[bytes, None, None]:
    """The body in pieces as they arrive, within STALL_SECONDS of each other.

    pooch, the usual library for this, asks for pieces of a fixed size and so gives no control while
    a server trickles, nor does it limit an endless body. requests, on which it stands, allows both.
    """
    deadline = time.monotonic() + STALL_SECONDS + spec.bytes / SLOWEST_BYTES_PER_SECOND
    headers = {"Accept-Encoding": "identity"}  # the bytes as they are: their hash is checked
    try:
        with requests.get(url, stream=True, timeout=STALL_SECONDS, headers=headers) as response:
            _check_response(response, spec)
            while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
                if time.monotonic() > deadline:
                    raise MirrorError("too slow", transient=True)
                yield chunk
    except (requests.RequestException, HTTPError) as error:
        # The ValueErrors among them speak of a malformed address, which stays malformed.
        raise MirrorError(str(error), transient=not isinstance(error, ValueError)) from error


def _check_response(response: requests.Response, spec: CheckpointSpec) -> None:
    status = response.status_code
    if status != 200:
        busy = status in (408, 429) or status >= 500
        raise MirrorError(f"answered {status} {response.reason}", transient=busy)
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal():
        _check_size(int(announced), spec)


def _check_size(size: int, spec: CheckpointSpec) -> None:
    if size != spec.bytes:
        raise MirrorError(f"has {size} bytes instead of the {spec.bytes} registered")


@contextmanager
def _bar(spec: CheckpointSpec) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress

    columns = (*Progress.get_default_columns(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(spec.file, total=spec.bytes)
        yield lambda count: progress.advance(task, count)
