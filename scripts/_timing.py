"""What the benchmarks share: the machine in words, foreign load, the times of a run's epochs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import pty
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo import Run

PROC = Path("/proc")
QUIET_CORES = 0.1
"""More than this much of a core in other processes disturbs a measurement."""
PROBE_SECONDS = 0.5


def positive(text: str) -> int:
    """An argparse type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def duration(text: str) -> float:
    """An argparse type: a finite duration of at least 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0 on, got {text}")
    return value


@dataclass
class Load:
    """Cores that processes other than ours kept busy; None until known, or where it cannot be."""

    foreign_cores: float | None = None

    @property
    def disturbed(self) -> bool:
        """Whether a time measured under this load is worth nothing."""
        return self.foreign_cores is not None and self.foreign_cores > QUIET_CORES

    def __str__(self) -> str:
        cores = "unknown" if self.foreign_cores is None else f"{self.foreign_cores:.2f} cores"
        return f"foreign load {cores}"


@contextmanager
def measured_load() -> Iterator[Load]:
    """Measure the foreign load while the block runs; this process's descendants are not foreign."""
    load = Load()
    started, before = time.monotonic(), _foreign_seconds()
    yield load
    after = _foreign_seconds()
    if before is not None and after is not None:
        elapsed = max(time.monotonic() - started, 1e-9)
        load.foreign_cores = max(0.0, after - before) / elapsed


def wait_until_quiet(seconds: float) -> None:
    """Return once no other process keeps the machine busy, or after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        with measured_load() as load:
            time.sleep(min(PROBE_SECONDS, seconds))
        if not load.disturbed or time.monotonic() >= deadline:
            return


def _foreign_seconds() -> float | None:
    """Processor time used so far by everything but this process and its descendants."""
    if not (PROC / "stat").exists():
        return None
    fields = [int(field) for field in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    busy = user + nice + system + irq + softirq + steal
    ticks: int = os.sysconf("SC_CLK_TCK")
    return (busy - _own_ticks()) / ticks


def _own_ticks() -> int:
    """Ticks of this process and its descendants; the dead count in whoever waited for them."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    return sum(count for pid, count in ticks.items() if _descends(pid, parents))


def _descends(pid: int, parents: Mapping[int, int]) -> bool:
    while pid in parents:
        if pid == os.getpid():
            return True
        pid = parents[pid]
    return False


def quiet(values: list[tuple[float, bool]]) -> tuple[list[float], str]:
    """The undisturbed values, or all with a "!" where every one was disturbed."""
    kept = [value for value, disturbed in values if not disturbed]
    return (kept, "") if kept else ([value for value, _ in values], "!")


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


class Worker:
    """A process that answers every line with a line, its standard error a terminal nobody sees.

    On a terminal libraries draw the progress bars their users pay for.
    """

    def __init__(self, command: list[str], threads: int) -> None:
        self.command = " ".join(command)
        terminal, stderr = pty.openpty()
        settings = {"OMP_NUM_THREADS": str(threads), "TERM": "xterm", "COLUMNS": "120"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **settings},
        )
        os.close(stderr)
        self.tail = b""
        self.drain = threading.Thread(target=self._read, args=(terminal,), daemon=True)
        self.drain.start()
        self._answer()  # it is ready

    def ask(self) -> str:
        """The answer to the next question; there is only one question."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended; the answer says why
            print("go", file=self.process.stdin, flush=True)
        return self._answer()

    def stop(self) -> None:
        """End the process, which leaves at the end of its input."""
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            self.drain.join(timeout=5)
            shown = self.tail.decode(errors="replace").replace("\r", "")
            raise SystemExit(f"error: {self.command} failed:\n{shown}")
        return line

    def _read(self, terminal: int) -> None:
        try:
            while block := os.read(terminal, 65536):
                self.tail = (self.tail + block)[-4096:]
        except OSError:  # how a terminal says that its other end is closed
            os.close(terminal)


@contextmanager
def answering() -> Iterator[Callable[[str], None]]:
    """A worker's side: yields what sends a line to the parent.

    Whatever else is printed goes to standard error, so that nothing comes between the answers.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)

        def answer(line: str) -> None:
            print(line, file=channel, flush=True)

        yield answer


@dataclass(frozen=True)
class Result:
    """One segment of a trainer: ``seconds`` for an epoch, ``start`` for what came before, once."""

    seconds: float
    start: float
    load: Load


def train_once(worker: Worker) -> Result:
    """Ask for one segment: the answer is when it began and when each epoch ended."""
    with measured_load() as load:
        stamps: list[float] = json.loads(worker.ask())
    seconds = (stamps[-1] - stamps[1]) / (len(stamps) - 2)
    return Result(seconds, max(0.0, stamps[1] - stamps[0] - seconds), load)


def note(place: str, name: str, result: Result) -> None:
    """One line while the benchmark runs."""
    text = f"{place}: {name}, {result.seconds:.3f} s/epoch; {result.load}"
    print(text, file=sys.stderr, flush=True)


def epoch_stamps(directory: Path) -> list[float]:
    """When each epoch of a run ended, in seconds since 1970, from its TensorBoard events."""
    from tensorboard.backend.event_processing import (  # type: ignore[import-untyped]
        event_accumulator,
    )

    events = event_accumulator.EventAccumulator(str(directory / "tensorboard")).Reload()
    return [event.wall_time for event in events.Scalars("train/loss")]


def training_seconds(run: Run) -> float:
    """What its epochs took, validation too; what lay between the calls does not count.

    0 of a run of a version that did not time them.
    """
    timings = run.timings
    return float(timings[-1]["seconds"]) if timings else 0.0


def available_cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def environment() -> dict[str, str]:
    """What a figure depends on beside the code measured: hardware, versions, revision."""
    import torch

    from zoo.devices import processor  # here: the other trainers' processes have no zoo

    return {
        "hardware": f"{available_cores()} cores of {processor()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "revision": revision(),
    }


def revision() -> str:
    """The checkout's commit, with "+changes" where its code differs from it."""
    root = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Records, registry.yaml and checkpoints/ are what measuring writes: they change no figure.
        code = ("zoo", "scripts", ":(exclude)scripts/results")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *code)
        changes = "+changes" if changed else ""
        return git("rev-parse", "--short=12", "HEAD") + changes
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write ``content`` for other programs; the file is replaced at once."""
    from zoo.files import write_atomically  # as above

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """What was written there, nothing where there is no file yet."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def add_timing_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark has."""
    parser.add_argument("--threads", type=positive, default=available_cores())
    wait = "how long to wait for a quiet machine before each measurement"
    parser.add_argument("--wait", type=duration, default=30.0, metavar="SECONDS", help=wait)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
