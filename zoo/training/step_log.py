"""A file of lines of JSON, each of a step: appended to, and cut back where a run goes on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from zoo.errors import TrainingError
from zoo.files import write_atomically


class StepLog:
    """Records with a ``step``, one a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def flush(self) -> None:
        """Wait until it is on the disk: a saved state relies on the lines before it."""
        with self.path.open("a", encoding="utf-8") as file:
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; one cut off by a kill is left out."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        return [self._record(number, line) for number, line in enumerate(lines, start=1)]

    def cut(self, step: int) -> None:
        """Forget what was recorded after ``step``: it will be recorded again."""
        kept = [record for record in self.read() if record["step"] <= step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomically(self.path, text.encode())

    def _record(self, number: int, line: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError as error:
            raise TrainingError(
                f"{self.path}: line {number} is not JSON, and zoo did not write it: {error}; "
                "remove that line"
            ) from error
        return record


class Timings(StepLog):
    """Seconds of work up to a step: of all calls that worked on a run, between them none.

    Validation and saving are in them, loading the data and what a kill lost are not.
    """

    def start(self, step: int) -> None:
        """Go on counting from what stands at ``step``.

        Of a run whose beginning was not timed, by an earlier version, nothing is noted.
        """
        self.cut(step)
        lines = self.read()
        self._before = lines[-1]["seconds"] if lines else 0.0 if step == 0 else None
        self._since = time.monotonic()

    def note(self, step: int) -> None:
        """Add the seconds up to now."""
        if self._before is not None:
            seconds = self._before + time.monotonic() - self._since
            self.append({"step": step, "seconds": round(seconds, 3)})
