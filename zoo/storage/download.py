"""One file from one mirror, under a temporary name until it is known to be the right one."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import requests
from urllib3.exceptions import HTTPError

from zoo.environment import offline
from zoo.registry import ReleaseSpec

ATTEMPTS = 3
BACKOFF_SECONDS = 0.5
STALL_SECONDS = 20.0
SLOWEST_BYTES_PER_SECOND = 10_000
CHUNK_BYTES = 2**16
REDIRECTS = 5
LONGEST_REASON = 300


class _GivenUpError(BaseException):
    """Raised in a thread whose pieces nobody waits for any more."""


class MirrorError(Exception):
    """Why a mirror did not give the file. ``transient``: another attempt may go better."""

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


def from_mirror(url: str, spec: ReleaseSpec, target: Path) -> None:
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


def _attempt(url: str, spec: ReleaseSpec, target: Path) -> None:
    """Receive the file under a temporary name; it gets its own only when it is the right one."""
    part = target.with_name(f".{spec.file}.{uuid.uuid4().hex}.part")
    seconds = STALL_SECONDS + spec.bytes / SLOWEST_BYTES_PER_SECOND
    digest = hashlib.sha256()
    received = 0
    try:
        chunks = _within(seconds, _chunks(url, spec))
        with closing(chunks), part.open("wb") as file, _bar(spec) as advance:
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


def _within(seconds: float, chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """The pieces, for at most so long in all, whatever it is that a server keeps waiting for.

    They are received in a thread of their own: a limit for each read, which is all that sockets
    know, lets a server send a status, a header or the size of a piece byte by byte for ever.
    """
    deadline = time.monotonic() + seconds
    arrived: Queue[bytes | Exception] = Queue(maxsize=1)
    given_up = threading.Event()
    receiver = threading.Thread(target=_receive, args=(chunks, arrived, given_up), daemon=True)
    receiver.start()
    try:
        while chunk := _next(arrived, deadline):
            yield chunk
    finally:
        given_up.set()
        with suppress(Empty):  # room for what the thread may be waiting to put down
            arrived.get_nowait()
        _end(receiver)


def _receive(
    chunks: Generator[bytes, None, None],
    arrived: Queue[bytes | Exception],
    given_up: threading.Event,
) -> None:
    try:
        with suppress(_GivenUpError), closing(chunks):
            for chunk in chunks:
                arrived.put(chunk)
                if given_up.is_set():
                    return
        arrived.put(b"")
    except Exception as error:  # whatever it is, it is raised where the pieces are used
        arrived.put(error)


def _end(receiver: threading.Thread) -> None:
    """End a thread that a server keeps busy, with the next byte or when STALL_SECONDS bring none.

    Nothing less stops the standard library where it reads on without end, as over trailers.
    """
    receiver.join(timeout=0.1)
    if receiver.is_alive():
        ident = ctypes.c_ulong(receiver.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(_GivenUpError))


def _next(arrived: Queue[bytes | Exception], deadline: float) -> bytes:
    """The next piece, empty after the last."""
    try:
        item = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
    except Empty:
        raise MirrorError("too slow") from None
    if isinstance(item, Exception):
        raise item
    return item


def _chunks(url: str, spec: ReleaseSpec) -> Generator[bytes, None, None]:
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


def _file_chunks(path: Path, spec: ReleaseSpec) -> Generator[bytes, None, None]:
    try:
        if not path.is_file():
            raise MirrorError("there is no such file")
        _check_size(path.stat().st_size, spec)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except (OSError, ValueError) as error:
        raise MirrorError(str(error)) from error


class _Session(requests.Session):
    """Follows no redirect: requests would first read its body whole, and unpack it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _http_chunks(url: str, spec: ReleaseSpec) -> Generator[bytes, None, None]:
    """The body in pieces as they arrive, within STALL_SECONDS of each other.

    pooch, the usual library for this, asks for pieces of a fixed size and so gives no control while
    a server trickles, nor does it limit an endless body. requests, on which it stands, allows both.
    """
    try:
        with _Session() as session, closing(_answer(session, url)) as response:
            _check_response(response, spec)
            while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
                yield chunk
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        # The ValueErrors among them speak of a malformed answer or address, which stays malformed.
        transient = not isinstance(error, ValueError)
        raise MirrorError(str(error)[:LONGEST_REASON], transient=transient) from error


def _answer(session: requests.Session, url: str) -> requests.Response:
    """The first answer that sends nowhere else."""
    headers = {"Accept-Encoding": "identity"}  # the bytes as they are: their hash is checked
    for _ in range(REDIRECTS + 1):
        response = session.get(url, stream=True, timeout=STALL_SECONDS, headers=headers)
        if not response.is_redirect:
            return response
        response.close()
        url = urljoin(url, response.headers["Location"])
        if urlsplit(url).scheme not in ("http", "https"):
            raise MirrorError(
                f"redirects to {url[:LONGEST_REASON]}, which is no http or https address"
            )
    raise MirrorError(f"redirects more than {REDIRECTS} times")


def _check_response(response: requests.Response, spec: ReleaseSpec) -> None:
    status = response.status_code
    if status != 200:
        busy = status in (408, 429) or status >= 500
        raise MirrorError(f"answered {status} {response.reason[:LONGEST_REASON]}", transient=busy)
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal():
        _check_size(int(announced), spec)


def _check_size(size: int, spec: ReleaseSpec) -> None:
    if size != spec.bytes:
        raise MirrorError(f"has {size} bytes instead of the {spec.bytes} registered")


@contextmanager
def _bar(spec: ReleaseSpec) -> Iterator[Callable[[int], None]]:
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
