"""Time what every command and every first ``zoo.load`` pays.

- ``zoo list``: the wall-clock time of the whole process, beside that of a Python that does nothing;
  and that torch was not imported by it.
- ``import zoo`` and ``zoo.load(NAME)`` in a fresh process that has already imported torch.

Each is the median of so many fresh processes, after one that is not counted (it fills the caches
for compiled Python and for files). Waits for a quiet machine before each kind of process.

    python scripts/benchmark_startup.py [--checkpoint NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _timing import (
    duration,
    environment,
    measured_load,
    positive,
    quiet,
    spread,
    wait_until_quiet,
    write_json,
)

ROOT = Path(__file__).resolve().parents[1]
LIST_AND_ASK_FOR_TORCH = """
import runpy, sys
sys.argv = ["zoo", "list"]
try:
    runpy.run_module("zoo", run_name="__main__")
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""
LOAD_AFTER_TORCH = """
import sys, time
import torch
start = time.perf_counter()
import zoo
zoo.load(sys.argv[1])
print(time.perf_counter() - start)
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python at the top of the checkout; SystemExit with its message when it fails."""
    command = [sys.executable, *arguments]
    # An installed package is compiled once: without its bytecode each process compiles it anew.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(arguments[:2]).strip()} failed:\n{done.stderr}")
    return done


def whole_process(*arguments: str) -> Callable[[], float]:
    """Seconds of a process from its start to its end."""

    def seconds() -> float:
        start = time.perf_counter()
        python(*arguments)
        return time.perf_counter() - start

    return seconds


def load_seconds(checkpoint: str) -> float:
    """Seconds for ``import zoo`` and ``zoo.load`` in a process that has torch."""
    return float(python("-c", LOAD_AFTER_TORCH, checkpoint).stdout)


def repeat(run: Callable[[], float], times: int, wait: float) -> tuple[list[float], str]:
    """The undisturbed times; all, with a "!", where every one was disturbed."""
    run()
    wait_until_quiet(wait)
    results = []
    for _ in range(times):
        with measured_load() as load:
            seconds = run()
        results.append((seconds, load.disturbed))
    return quiet(results)


def listing_imports_torch() -> bool:
    """Whether ``zoo list`` has imported torch when it ends."""
    return python("-c", LIST_AND_ASK_FOR_TORCH).stderr.split()[-1] == "True"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="gaussian-vae-mnist", help="a name or a path")
    parser.add_argument("--repeats", type=positive, default=11)
    wait = "how long to wait for a quiet machine before each kind of process"
    parser.add_argument("--wait", type=duration, default=30.0, metavar="SECONDS", help=wait)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; the status is 1 when ``zoo list`` imports torch."""
    options = parse_arguments(arguments)
    path = Path(options.checkpoint)
    checkpoint = str(path.resolve()) if path.exists() else options.checkpoint
    runs = {
        "python alone": whole_process("-c", "pass"),
        "zoo list": whole_process("-m", "zoo", "list"),
        f"zoo.load({options.checkpoint!r}) after torch": lambda: load_seconds(checkpoint),
    }
    about = environment()
    torch_imported = listing_imports_torch()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    times = {}
    for name, run in runs.items():
        seconds, mark = repeat(run, options.repeats, options.wait)
        times[name] = seconds
        median, low, high = (1e3 * second for second in spread(seconds))
        print(f"{name + mark:45}{median:8.1f} ms ({low:.1f} to {high:.1f}, {len(seconds)} runs)")
    print(f"zoo list imports torch: {'yes' if torch_imported else 'no'}")
    if options.json:
        content = {"environment": about, "seconds": times, "list_imports_torch": torch_imported}
        write_json(options.json, content)
    return int(torch_imported)


if __name__ == "__main__":
    raise SystemExit(main())
