"""Benchmarks of speed: ``python scripts/benchmarks NAME [OPTIONS]``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = sorted(file.stem for file in HERE.glob("[!_]*.py"))


def main(arguments: list[str]) -> int:
    """Run a benchmark; the status is its own, 2 where it is not known."""
    if arguments and arguments[0] in NAMES:
        status: int = importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
        return status
    asked = f"error: unknown benchmark {arguments[0]!r}; " if arguments else ""
    print(f"{asked}NAME is one of {', '.join(NAMES)}; NAME --help explains it", file=sys.stderr)
    return 2 if arguments else 0


if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)  # where the benchmarks and what they share with others are found
    sys.exit(main(sys.argv[1:]))
