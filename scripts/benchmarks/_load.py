"""What other processes take of the machine while something is measured."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
QUIET_CORES = 0.1
"""More than this much of a core in other processes disturbs a measurement."""
PROBE_SECONDS = 0.5


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
