"""What the measuring scripts share: how a figure was made, and the files of records."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo import Run


def positive(text: str) -> int:
    """An argparse type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


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
    """Write ``content``, dataclasses as their fields; the file is replaced at once."""
    from zoo.files import write_atomically  # as above

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=2, default=asdict) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """What was written there, nothing where there is no file yet."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def once(
    output: Path,
    key: str,
    measure: Callable[[], Mapping[str, Any]],
    command: str,
    of: Mapping[str, Any] | None = None,
) -> None:
    """Measure what is not recorded under a key, or ``of`` another file; other processes wait."""
    from filelock import FileLock  # as above

    same, found = of or {}, read_json(output).get(key)
    if found is not None and all(found.get(name) == value for name, value in same.items()):
        return
    started = time.monotonic()
    measured = {**same, **measure()}
    how = {"seconds": round(time.monotonic() - started, 1), **environment(), "command": command}
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(output.with_suffix(".lock")):
        write_json(output, {**read_json(output), key: {**measured, **how}})


def command_of(script: str, data_root: str | None) -> str:
    """How a script was called, but for the folder of the data, which is another elsewhere."""
    given = ["DIR" if word == data_root else word for word in sys.argv[1:]]
    return shlex.join(["python", f"scripts/{Path(script).name}", *given])
