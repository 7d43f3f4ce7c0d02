"""What the runs of a study came to: a file of JSON that several processes may add to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock
from pydantic import Field, ValidationError

from zoo.errors import DataError
from zoo.files import write_atomically
from zoo.settings import Settings


class Figure(Settings):
    """With its standard error over examples, where it has one."""

    value: float
    stderr: float | None = None


class Result(Settings):
    """Of one run: what each column says of it, or why nothing."""

    point: str
    seed: int
    protocol: str
    """The digest of :attr:`zoo.studies.study.Trial.protocol`."""
    figures: dict[str, Figure]
    refusals: dict[str, str] = {}
    epochs: int = Field(ge=1)
    made: dict[str, str | float]
    """When it was measured: versions, hardware, and the checkpoint's SHA-256."""

    @property
    def of(self) -> tuple[str, int]:
        """Which run it is of."""
        return self.point, self.seed


def beside(study: Path) -> Path:
    """Where results that travel with the file of a study lie: ``NAME.results.json``."""
    return study.with_suffix(".results.json")


class Results:
    """Those in one file, and in others that are only read."""

    def __init__(self, path: Path, read_too: Iterable[Path] = ()) -> None:
        self.path = path
        self._paths = (*read_too, path)

    def all(self) -> list[Result]:
        """The last of each run and protocol. Raises DataError for a file that is none of these."""
        found = {(*each.of, each.protocol): each for path in self._paths for each in _read(path)}
        return list(found.values())

    def add(self, result: Result) -> None:
        """In place of an older one of the same run; another process that adds one waits."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f".{self.path.name}.lock")):
                others = [each for each in _read(self.path) if each.of != result.of]
                write_results(self.path, [*others, result])
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written: {error.strerror or error}; the run itself is "
                "kept, and is measured again where its results can be"
            ) from error


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Whole or not at all."""
    ordered = sorted(results, key=lambda result: result.of)
    text = json.dumps([each.model_dump(exclude_defaults=True) for each in ordered], indent=1)
    write_atomically(path, f"{text}\n".encode())


def _read(path: Path) -> list[Result]:
    if not path.exists():
        return []
    try:
        return [Result.model_validate(each) for each in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise DataError(
            f"{path} holds no results of a study: {str(error).splitlines()[0]}; "
            "move it away and they are measured anew"
        ) from error
