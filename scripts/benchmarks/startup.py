"""Time what every command and every first ``zoo.load`` pays.

- ``zoo list``: the whole process, beside that of a Python that does nothing; the status is 1 where
  torch was imported by it.
- ``import zoo`` and ``zoo.load(NAME)`` in a fresh process that has already imported torch.

Every measurement is a fresh process; one of each kind is not counted, which fills the caches for
compiled Python and for files.

    python scripts/benchmarks startup [--checkpoint NAME] [--json FILE]
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks._blocks import elapsed
from benchmarks._figures import Case, Contender
from benchmarks._harness import build_parser, measure, report, start

ROOT = Path(__file__).resolve().parents[2]
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


def whole_process(*arguments: str) -> Contender:
    """From its start to its end."""
    return Contender(partial(elapsed, partial(python, *arguments)))


def load_seconds(checkpoint: str) -> float:
    """Seconds for ``import zoo`` and ``zoo.load`` in a process that has torch."""
    return float(python("-c", LOAD_AFTER_TORCH, checkpoint).stdout)


def listing_imports_torch() -> bool:
    """Whether ``zoo list`` has imported torch when it ends."""
    return python("-c", LIST_AND_ASK_FOR_TORCH).stderr.split()[-1] == "True"


def main(arguments: list[str]) -> int:
    """Measure and print; the status is 1 when ``zoo list`` imports torch."""
    parser = build_parser(__name__, __doc__, rounds=11, option="--repeats")
    parser.add_argument("--checkpoint", default="gaussian-vae-mnist", help="a name or a path")
    options = start(parser, arguments)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    path = Path(options.checkpoint)
    checkpoint = str(path.resolve()) if path.exists() else options.checkpoint
    contenders = {
        "python alone": whole_process("-c", "pass"),
        "zoo list": whole_process("-m", "zoo", "list"),
        f"zoo.load({options.checkpoint!r}) after torch": Contender(
            partial(load_seconds, checkpoint)
        ),
    }
    torch_imported = listing_imports_torch()
    for contender in contenders.values():
        contender.seconds()
    cases = [Case({}, contenders, unit="processes")]
    report(options, cases, measure(cases, options), extra={"list_imports_torch": torch_imported})
    return int(torch_imported)
