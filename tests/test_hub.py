"""From names to verified files: real servers that misbehave, real processes, real kills."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from zoo.environment import cache_folder
from zoo.errors import CheckpointError, UnknownNameError
from zoo.registry import CheckpointSpec, RecipeSpec, Registry, VariantSpec
from zoo.storage import download, hub

CONTENT = bytes(range(256)) * 300
FILE = "tiny-digits.safetensors"
SPEC = CheckpointSpec(
    variant="tiny",
    dataset="digits",
    summary="for tests",
    file=FILE,
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    bytes=len(CONTENT),
    license="MIT",
    data_license="none",
    metrics={},
    recipe=RecipeSpec(command="", seed=0, revision="", hardware="", duration=""),
)
WRONG = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]


def registry_with(spec: CheckpointSpec = SPEC, mirrors: list[str] | None = None) -> Registry:
    return Registry(
        variants={"tiny": VariantSpec(component="tests:Tiny", summary="for tests")},
        checkpoints={"tiny-digits": spec},
        mirrors=mirrors or [],
    )


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package, an empty cache, no mirrors, and no patience. Returns the cached path."""
    for name in ("ZOO_MIRRORS", "ZOO_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hub, "packaged_root", lambda: tmp_path / "package")
    monkeypatch.setattr(hub, "registry", registry_with)
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(download, "SLOWEST_BYTES_PER_SECOND", 10**5)
    return tmp_path / "home" / "checkpoints" / FILE


class Server(ThreadingHTTPServer):
    """Answers the n-th request with the n-th of its behaviours, and then always the last."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *behaviours: Callable[[Handler], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = behaviours
        self.paths: list[str] = []
        self.half_sent = threading.Event()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/files"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        behaviours = self.server.behaviours
        index = min(len(self.server.paths), len(behaviours) - 1)
        self.server.paths.append(self.path)
        behaviours[index](self)

    def start(self, length: int | None = len(CONTENT), status: int = 200) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output quiet."""


def good(handler: Handler) -> None:
    handler.start()
    handler.wfile.write(CONTENT)


def without_length(handler: Handler) -> None:
    handler.start(None)
    handler.wfile.write(CONTENT)


def delayed(handler: Handler) -> None:
    time.sleep(0.5)
    good(handler)


def failing(status: int) -> Callable[[Handler], None]:
    return lambda handler: handler.start(0, status)


def truncated(handler: Handler) -> None:
    handler.start()
    handler.wfile.write(CONTENT[:1000])


def truncated_without_length(handler: Handler) -> None:
    handler.start(None)
    handler.wfile.write(CONTENT[:1000])


def corrupted(handler: Handler) -> None:
    handler.start()
    handler.wfile.write(WRONG)


def wrong_length(handler: Handler) -> None:
    handler.start(len(CONTENT) + 1)
    handler.wfile.write(CONTENT + b"x")


def endless(handler: Handler) -> None:
    handler.start(None)
    while not handler.server.closing.is_set():
        handler.wfile.write(CONTENT)


def stalling(handler: Handler) -> None:
    handler.start()
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])
    handler.server.half_sent.set()
    handler.server.closing.wait(30)


def trickling(handler: Handler) -> None:
    handler.start()
    for byte in CONTENT:
        if handler.server.closing.wait(0.02):
            return
        handler.wfile.write(bytes([byte]))


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*behaviours: Callable[[Handler], None]) -> Server:
        server = Server(*behaviours)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.closing.set()
        server.shutdown()
        server.server_close()


def use(monkeypatch: pytest.MonkeyPatch, *mirrors: Server | str) -> None:
    urls = [mirror if isinstance(mirror, str) else mirror.url for mirror in mirrors]
    monkeypatch.setenv("ZOO_MIRRORS", ",".join(urls))


def left_in(folder: Path) -> list[str]:
    """What is in the cache besides lock files."""
    return sorted(path.name for path in folder.glob("*") if not path.name.endswith(".lock"))


def assert_fetched(place: Path) -> None:
    assert hub.fetch("tiny-digits") == place
    assert place.read_bytes() == CONTENT
    assert left_in(place.parent) == [FILE]


def assert_refused(place: Path, *parts: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        hub.fetch("tiny-digits")
    for part in parts:
        assert part in str(caught.value), str(caught.value)
    assert left_in(place.parent) == []


@pytest.mark.parametrize("behaviour", [good, without_length])
def test_a_download_is_cached(
    behaviour: Callable[[Handler], None], serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(behaviour)
    use(monkeypatch, server.url + "/")
    assert_fetched(place)
    assert_fetched(place)
    assert server.paths == [f"/files/{FILE}"]


@pytest.mark.parametrize(
    ("behaviour", "reason", "requests"),
    [
        (failing(404), "answered 404 Not Found", 1),
        (failing(503), "answered 503", 3),
        (truncated, "", 3),
        (truncated_without_length, f"sent only 1000 of {len(CONTENT)} bytes", 3),
        (corrupted, "sent other content", 1),
        (wrong_length, f"has {len(CONTENT) + 1} bytes", 1),
        (endless, "sends more than", 1),
        (stalling, "timed out", 3),
        (trickling, "too slow", 1),
    ],
)
def test_a_bad_mirror_is_reported_and_the_next_one_used(
    behaviour: Callable[[Handler], None],
    reason: str,
    requests: int,
    serve: Any,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad, fine = serve(behaviour), serve(good)
    use(monkeypatch, bad)
    manual = [f"{bad.url}/{FILE}: ", reason, f"sha256 {SPEC.sha256}", f"put it at {place}"]
    assert_refused(place, *manual)
    assert len(bad.paths) == requests
    use(monkeypatch, bad, fine)
    assert_fetched(place)


def test_a_passing_failure_is_tried_again(
    serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in (failing(500), truncated):
        server = serve(first, first, good)
        use(monkeypatch, server)
        assert_fetched(place)
        assert len(server.paths) == 3
        place.unlink()


def test_every_mirror_is_listed_with_its_reason_and_no_password(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPEC.model_copy(update={"mirrors": ["ftp://own.example"]})
    monkeypatch.setattr(hub, "registry", lambda: registry_with(spec, ["http://[bad", "http://"]))
    use(monkeypatch, "http://me:secret@127.0.0.1:9/x", "nonsense")
    assert_refused(place, "http://***@127.0.0.1:9", "refused", "ftp://own.example", "http://[bad")
    with pytest.raises(CheckpointError) as caught:
        hub.fetch("tiny-digits")
    assert "secret" not in str(caught.value)
    tried = [line.split()[0] for line in str(caught.value).splitlines() if line.startswith("  ")]
    assert [url.split("/")[0] for url in tried] == ["http:", "nonsense", "ftp:", "http:", "http:"]


def test_without_mirrors_the_message_names_the_setting(place: Path) -> None:
    assert_refused(place, "set ZOO_MIRRORS", str(place))


def test_file_mirrors(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "a mirror"
    mirror.mkdir()
    monkeypatch.setattr(hub, "registry", lambda: registry_with(mirrors=[mirror.as_uri()]))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert_refused(place, "there is no such file")
    (mirror / FILE).write_bytes(WRONG)
    assert_refused(place, "sent other content")
    (mirror / FILE).write_bytes(CONTENT[:-1])
    assert_refused(place, f"has {len(CONTENT) - 1} bytes")
    (mirror / FILE).write_bytes(CONTENT)
    assert_fetched(place)


def test_offline_never_touches_the_network(
    serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(good)
    use(monkeypatch, server)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert_refused(place, server.url, "ZOO_OFFLINE is set")
    assert server.paths == []
    monkeypatch.setenv("ZOO_OFFLINE", "0")
    assert_fetched(place)
    monkeypatch.setenv("ZOO_OFFLINE", "true")
    assert_fetched(place)
    assert len(server.paths) == 1


def test_the_packaged_file_comes_first_and_is_checked(
    tmp_path: Path, serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "package" / "checkpoints" / FILE
    packaged.parent.mkdir(parents=True)
    packaged.write_bytes(CONTENT)
    assert hub.fetch("tiny-digits") == packaged
    assert not place.parent.exists()
    packaged.write_bytes(WRONG)
    assert_refused(place, str(packaged), "reinstall zoo")
    use(monkeypatch, serve(good))
    assert_fetched(place)
    assert packaged.read_bytes() == WRONG


@pytest.mark.parametrize("wrong", [WRONG, CONTENT[:-1], CONTENT + b"x", b""])
def test_a_damaged_cached_file_is_replaced(
    wrong: bytes, serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(wrong)
    assert_refused(place, "no mirror")  # and what was wrong is gone
    place.write_bytes(wrong)
    use(monkeypatch, serve(good))
    assert_fetched(place)


def test_a_file_replaced_at_the_same_size_and_times_is_noticed(
    serve: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, serve(good))
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    for renamed in (False, True):
        before = hub.fetch("tiny-digits").stat()
        written = tmp_path / "other" if renamed else place
        written.write_bytes(WRONG)
        os.utime(written, ns=(before.st_atime_ns, before.st_mtime_ns))
        written.replace(place)
        assert place.stat().st_mtime_ns == before.st_mtime_ns
        assert_fetched(place)


def test_a_cache_folder_that_cannot_be_used(
    tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, serve(good))
    (tmp_path / "blocker").touch()
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "blocker" / "home"))
    with pytest.raises(CheckpointError, match="cannot use the cache folder .*set ZOO_HOME"):
        hub.fetch("tiny-digits")


def test_a_full_disk_is_not_blamed_on_the_mirror(
    serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    server = serve(good)
    use(monkeypatch, server)
    monkeypatch.setattr("os.fsync", full_disk)
    assert_refused(place, "cannot use the cache folder", "No space left")
    assert len(server.paths) == 1


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write in any folder"
)
def test_a_read_only_cache(serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, serve(good))
    place.parent.mkdir(parents=True)
    place.parent.chmod(0o500)
    try:
        assert_refused(place, "set ZOO_HOME")
        place.parent.chmod(0o700)
        place.write_bytes(CONTENT)
        place.parent.chmod(0o500)
        assert_fetched(place)
    finally:
        place.parent.chmod(0o700)


@pytest.mark.parametrize("file", ["../x", "a/b", "/etc/passwd", "..", "", "a\\b", ".hidden", "x\n"])
def test_only_bare_file_names(file: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SPEC.model_copy(update={"file": file})
    monkeypatch.setattr(hub, "registry", lambda: registry_with(spec))
    assert_refused(place, "bare file name")


def test_the_default_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ZOO_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "zoo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "zoo"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_only_on_a_terminal(
    serve: Any, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, serve(good))
    assert_fetched(place)
    assert capsys.readouterr() == ("", "")
    place.unlink()
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    assert_fetched(place)
    assert FILE in terminal.getvalue()
    assert capsys.readouterr().out == ""


PROCESS = """
import sys
sys.path[:0] = eval(sys.argv[1])
from pathlib import Path
from zoo.environment import cache_folder
from zoo.storage import hub
from zoo.registry import Registry
known = Registry.model_validate_json(sys.argv[2])
hub.registry = lambda: known
hub.packaged_root = lambda: Path(sys.argv[3])
heavy = {"torch", "requests", "filelock", "rich", "numpy"} & sys.modules.keys()
assert not heavy, heavy
print("ready", flush=True)
sys.stdin.readline()
print(hub.fetch("tiny-digits"), flush=True)
"""


def start_process(package: Path) -> subprocess.Popen[str]:
    """A process that imports hub, says so, waits for a line, fetches, and prints the path."""
    known = registry_with().model_dump_json()
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, repr(sys.path), known, str(package)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_eight_processes_download_once(
    serve: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(delayed)
    use(monkeypatch, server)
    processes = [start_process(tmp_path) for _ in range(8)]
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == [f"{place}\n"] * 8
    assert place.read_bytes() == CONTENT
    assert left_in(place.parent) == [FILE]
    assert len(server.paths) == 1


def test_a_killed_download_leaves_nothing_that_loads(
    serve: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(stalling, good)
    use(monkeypatch, server)
    with start_process(tmp_path) as process:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        assert server.half_sent.wait(30)
        process.kill()
    left = left_in(place.parent)
    assert len(left) == 1
    assert left[0].endswith(".part")
    assert not list(place.parent.glob("*.safetensors"))
    assert_fetched(place)


def test_locate_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(CheckpointError, match=r"holds no \.safetensors file"):
        hub.locate(folder)
    only = folder / "last.safetensors"
    only.touch()
    assert hub.locate(only) == hub.locate(str(only)) == hub.locate(folder) == only
    (folder / "other.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"holds 2 checkpoints .*last\.safetensors"):
        hub.locate(str(folder))
    best = folder / "best.safetensors"
    best.touch()
    assert hub.locate(folder) == best
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub.locate("~/run") == best


def test_locate_names(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    assert hub.locate("tiny-digits") == place
    (tmp_path / "tiny-digits").mkdir()  # an unrelated folder does not hide the name
    assert hub.locate("tiny-digits") == place
    (tmp_path / "tiny-digits" / "best.safetensors").touch()  # nor does a run's
    assert hub.locate("tiny-digits") == place
    own = hub.locate("./tiny-digits")
    assert own.resolve() == (tmp_path / "tiny-digits" / "best.safetensors").resolve()
    assert hub.locate(Path("tiny-digits")).resolve() == own.resolve()
    own.unlink()
    own.parent.rmdir()
    (tmp_path / "tiny-digits").write_bytes(WRONG)  # nor does a file
    assert hub.locate("tiny-digits") == place
    assert hub.locate("./tiny-digits").read_bytes() == WRONG
    with pytest.raises(UnknownNameError, match="did you mean 'tiny-digits'"):
        hub.locate("tiny-digit")
    with pytest.raises(UnknownNameError):
        hub.locate("")
    with pytest.raises(CheckpointError, match="is a variant.*checkpoints: tiny-digits"):
        hub.locate("tiny")


@pytest.mark.parametrize(
    "source",
    ["no/such", "tiny-digits.safetensors", "old.pt", ".\\x", Path("tiny-digits"), "/x\0y"],
)
def test_locate_missing_paths(source: str | Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file or folder"):
        hub.locate(source)


@pytest.mark.parametrize("source", ["x" * 300, "~no-such-user/x"])
def test_locate_paths_the_system_refuses(source: str) -> None:
    with pytest.raises((CheckpointError, UnknownNameError), match=source[:100]):
        hub.locate(source)
