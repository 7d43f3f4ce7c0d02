"""Processes that live as long as a benchmark, and answer each question with a line."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


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
