"""A benchmark's worker as ``subprocess.Popen`` would start it, forked with torch instead."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from processes import Process

JOINED = """
import os, runpy, sys
_, terminal, read, written, *sys.argv = sys.argv
os.dup2(os.open(terminal, os.O_WRONLY | os.O_NOCTTY), 2)
os.dup2(os.open(read, os.O_RDONLY), 0)
os.dup2(os.open(written, os.O_WRONLY), 1)
sys.stdin, sys.stdout, sys.stderr = (open(n, "w" if n else "r", closefd=False) for n in range(3))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Popen:
    """What the benchmarks use of it."""

    def __init__(
        self, command: Sequence[str], stderr: int, env: Mapping[str, str], **streams: object
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        ways = [Path(self._folder.name, name) for name in ("read", "written")]
        for way in ways:
            os.mkfifo(way)
        self._process = Process("-c", JOINED, os.ttyname(stderr), *ways, *command[1:], env=env)
        self.stdin, self.stdout = ways[0].open("w"), ways[1].open()

    def communicate(self) -> None:
        """Wait for its end, which that of its input is."""
        self.stdin.close()
        self.stdout.read()
        self.stdout.close()
        self._process.finish()
        self._folder.cleanup()


FORKED = SimpleNamespace(Popen=Popen, PIPE=subprocess.PIPE)
"""In the place of the module ``subprocess``."""
