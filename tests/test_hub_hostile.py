"""Mirrors that mean harm: whatever they send byte by byte, without end or malformed, they are left
after a known time, and the next mirror is used."""

from __future__ import annotations

import gc
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import test_hub
from test_hub import CONTENT, FILE, assert_fetched, assert_refused, good, use

from zoo.errors import CheckpointError
from zoo.storage import download, hub

place = test_hub.place
serve = test_hub.serve

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b"%x\r\n" % len(CONTENT) + CONTENT + b"\r\n"


class RawServer:
    """Sends each client ``start``, then ``again`` for ever, a byte at a time where it drips."""

    def __init__(self, start: bytes, again: bytes = b"", pause: float = 0.0) -> None:
        self.start, self.again, self.pause = start, again, pause
        self.closing = threading.Event()
        self.clients = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/files"

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients += 1
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client:
            try:
                client.recv(2**16)
                client.sendall(self.start)
                while self.again and not self.closing.wait(self.pause):
                    client.sendall(self.again)
            except OSError:
                pass

    def close(self) -> None:
        self.closing.set()
        self.listener.close()


@pytest.fixture
def raw() -> Iterator[Callable[..., RawServer]]:
    servers: list[RawServer] = []

    def start(*arguments: Any) -> RawServer:
        servers.append(RawServer(*arguments))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module", autouse=True)
def _little_to_collect() -> None:
    """Else every collection here would go over all that other tests have left."""
    gc.collect()
    gc.freeze()


def receivers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if getattr(t, "_target", None) is download._receive]


DRIPS = {
    "status": (b"HTTP/1.1 200 ", b"O"),
    "version": (b"", b"H"),
    "header name": (OK, b"X"),
    "header": (OK + b"X: ", b"y"),
    "headers": (OK, b"X: y\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunk size": (CHUNKED, b"0"),
    "chunk extension": (CHUNKED + b"5;", b"x"),
    "empty lines for chunks": (CHUNKED, b"\r\n"),
    "trailer": (WHOLE + b"0\r\nX: ", b"y"),
    "trailers": (WHOLE + b"0\r\n", b"X: y\r\n"),
    "body": (OK + b"\r\n", b"z"),
    "redirect's header": (b"HTTP/1.1 302 Found\r\nLocation: /", b"z"),
}


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("pause", [0.02, 0.0])
def test_no_byte_is_waited_for_past_the_deadline(
    drip: str, pause: float, raw: Any, serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, again = DRIPS[drip]
    bad = raw(start, again if pause else again * 1000, pause)
    use(monkeypatch, bad, serve(good))
    began = time.monotonic()
    assert_fetched(place)
    # The deadline is 1.3 s; what is malformed is tried three times.
    assert time.monotonic() - began < 8
    assert bad.clients > 0
    until = time.monotonic() + 10
    while receivers() and time.monotonic() < until:
        time.sleep(0.05)
    assert not receivers(), "a thread still listens"


def test_a_drip_gives_up_the_lock(raw: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, raw(*DRIPS["header"], 0.02))
    began = time.monotonic()
    assert_refused(place, "too slow")
    assert time.monotonic() - began < 5


MALFORMED = {
    "long length": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5, 6\r\n\r\nhello",
    "negative length": OK + b"Content-Length: -1\r\n\r\n",
    "no length": OK + b"Content-Length: \xb2\r\n\r\n",
    "chunk size": CHUNKED + b"zz\r\n",
    "huge chunk size": CHUNKED + b"f" * 5000 + b"\r\n",
    "nothing": b"",
    "garbage": b"\x00\xff" * 100 + b"\r\n\r\n",
    "long status": b"HTTP/1.1 404 " + b"x" * 60_000 + b"\r\n\r\n",
    "status": b"HTTP/1.1 abc\r\n\r\n",
    "many headers": OK + b"X: y\r\n" * 1000 + b"\r\n",
    "redirect without place": b"HTTP/1.1 302 Found\r\n\r\n",
}
PLACES = [
    "",
    "/",
    "http://",
    "http://[bad",
    "http://[::1",
    "http://x:99999999/",
    "http://\xff\xfe/",
    "http://a b/",
    "http://.x/",
    "http://" + "x" * 300 + "/",
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "//",
    "javascript:1",
]
MALFORMED |= {
    f"redirect to {place}": b"HTTP/1.1 302 Found\r\nLocation: "
    + place.encode("latin-1")
    + b"\r\n\r\n"
    for place in PLACES
}


# urllib3 leaves the connection of an answer of two lengths to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("answer", MALFORMED)
def test_what_is_malformed_is_the_mirrors_fault(
    answer: str, raw: Any, serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = raw(MALFORMED[answer])
    use(monkeypatch, bad)
    with pytest.raises(CheckpointError, match=f"{FILE}: .{{0,400}}\nDownload"):
        hub.fetch("tiny-digits")
    use(monkeypatch, bad, serve(good))
    assert_fetched(place)
    gc.collect()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("relative", [True, False])
def test_redirects_are_followed_and_their_bodies_left(
    status: int,
    relative: bool,
    raw: Any,
    serve: Any,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = gzip.compress(bytes(2**24)) * 64  # a gigabyte
    fine = serve(good)
    head = (
        f"HTTP/1.1 {status} Found\r\nLocation: {fine.url}/elsewhere\r\nContent-Encoding: gzip\r\n"
    )
    redirecting = raw(head.encode() + b"Content-Length: 999999999999\r\n\r\n", bomb)
    if relative:
        redirecting = serve(moved, good)
    use(monkeypatch, redirecting)
    began = time.monotonic()
    assert_fetched(place)
    assert time.monotonic() - began < 5
    assert (redirecting if relative else fine).paths[-1].endswith("/elsewhere")


def moved(handler: Any) -> None:
    handler.send_response(302)
    handler.send_header("Location", "elsewhere")
    handler.end_headers()


def test_redirects_are_counted(serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = serve(*[moved] * download.REDIRECTS, good)
    use(monkeypatch, fine)
    assert_fetched(place)
    place.unlink()
    circle = serve(moved)
    use(monkeypatch, circle)
    assert_refused(place, "redirects more than 5 times")
    assert len(circle.paths) == download.REDIRECTS + 1
