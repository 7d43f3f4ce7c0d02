"""A run's directory: its configuration, hardware, metrics, last and best model, TensorBoard.

Every file is written beside and renamed, or appended a line at a time and cut back on resume, so
a run killed at any moment can go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from zoo.errors import ConfigError, TrainingError
from zoo.files import write_atomically
from zoo.mappings import differences
from zoo.settings import shortened
from zoo.training.config import HARMLESS, Experiment, read_experiment
from zoo.training.snapshots import Snapshots
from zoo.training.step_log import StepLog, Timings
from zoo.yaml_files import dump, read_text


class RunDirectory:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = StepLog(path / "metrics.jsonl")
        self.timings = Timings(path / "timings.jsonl")
        self.last = path / "last.safetensors"
        self.best = path / "best.safetensors"
        self.snapshots = Snapshots(path / "averages")
        self._hardware = path / "hardware.txt"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and hold it, so that two processes never write the same run.

        Raises TrainingError when another process holds it, or it cannot be used.
        """
        lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise TrainingError(f"another process is training in {self.path}") from error
        except OSError as error:
            raise TrainingError(
                f"cannot use {self.path} for a run: {error.strerror}; choose another directory"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def check(self, experiment: Experiment) -> None:
        """Raise ConfigError, naming the settings that differ, when another experiment lives here.

        A run of a constant learning rate may be asked for more epochs than it began with: it goes
        on as if they had been meant from the start.
        """
        if self.config.exists():
            refuse_difference(self.read_config().identity, experiment.identity, self.path)

    def record_config(self, experiment: Experiment) -> bool:
        """Write the configuration of a new run, or of one that is lengthened.

        Returns whether it is lengthened. Only for the holder of the lock.
        """
        known = self.config.exists()
        if known and self.read_config().train.epochs == experiment.train.epochs:
            return False
        self.write_config(experiment)
        return known

    @property
    def hardware(self) -> list[str]:
        """What the run has computed on so far, in the order in which it came there."""
        known = self._hardware.exists()
        return self._hardware.read_text(encoding="utf-8").splitlines() if known else []

    def note_hardware(self, now: str) -> str | None:
        """Note what the run goes on on; returns what it was on before, where that was another."""
        before = self.hardware
        if before[-1:] == [now]:
            return None
        write_atomically(self._hardware, "".join(f"{n}\n" for n in [*before, now]).encode())
        return before[-1] if before else None

    def write_config(self, experiment: Experiment) -> None:
        """Write the configuration; only for the holder of the lock."""
        text = dump(experiment.model_dump(mode="json"))
        write_atomically(self.config, text.encode())

    def read_config(self) -> Experiment:
        """The experiment of the run that lives here."""
        if not self.config.exists():
            raise TrainingError(f"no run in {self.path}: it has no config.yaml")
        return read_experiment(read_text(self.config, "the configuration"), str(self.config))

    def clear_leftovers(self) -> None:
        """Remove files that a kill left half-written; only for the holder of the lock."""
        for leftover in self.path.rglob(".zoo-*.tmp"):
            leftover.unlink()


def refuse_difference(old: Mapping[str, Any], new: Mapping[str, Any], path: Path) -> None:
    """Raise ConfigError, naming what differs, where a run cannot go on with new settings.

    Both are an experiment's :attr:`~zoo.training.config.Experiment.identity`.
    """
    differing = differences(old, new)
    for key in HARMLESS:  # which earlier versions took for others
        differing.pop(key, None)
    schedule, longer = old["train.schedule"], new["train.epochs"] > old["train.epochs"]
    if longer and schedule == "constant":
        differing.pop("train.epochs")
    if differing:
        changes = "; ".join(
            f"{key}: {_change(shortened(was), shortened(now))}"
            for key, (was, now) in sorted(differing.items())
        )
        why = (
            f" (a {schedule} schedule depends on the number of epochs; only a constant "
            "one can go on beyond it)"
            if longer and "train.epochs" in differing
            else ""
        )
        raise ConfigError(
            f"{path} holds a run with other settings ({changes}){why}; "
            "choose another directory, or remove this one"
        )


def _change(was: str, now: str) -> str:
    """Two tokenisers, for example, begin alike: their shortened forms would only confuse."""
    return f"{was} -> {now}" if was != now else "it has changed"
