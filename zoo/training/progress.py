"""What a running training shows: a progress bar, lines in a log, TensorBoard."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from torch.utils.tensorboard import SummaryWriter

REFRESH_SECONDS = 0.5
LOG_LINE_SECONDS = 10.0
SAMPLES = 64
LABELS = {"elbo": "ELBO", "kl": "KL", "log_likelihood": "log p(x|z)"}


class Reporter:
    """Shows one run. Reading a figure waits for the device, so it is done twice a second."""

    def __init__(self, path: Path, total_steps: int, batch_size: int, visible: bool) -> None:
        self.path, self.total_steps, self.batch_size = path, total_steps, batch_size
        self.visible = visible
        self.bar: Bar | None = None
        self.writer: SummaryWriter | None = None
        self.shown = self.logged = time.monotonic()
        self.shown_step = 0
        self.examples_per_second = 0.0

    @contextmanager
    def open(self, step: int) -> Iterator[None]:
        """Show the run from ``step`` on until the block is left."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import, needed only here

        self.shown_step, self.shown = step, time.monotonic()
        self.writer = SummaryWriter(str(self.path / "tensorboard"), purge_step=step + 1)
        try:
            if self.visible and sys.stderr.isatty():
                with _bar() as self.bar:
                    self.task = self.bar.add_task("", total=self.total_steps, completed=step)
                    yield
            else:
                yield
        finally:
            self.writer.close()
            self.bar = None

    def step(self, step: int, figures: Callable[[], Mapping[str, float]]) -> None:
        """Called after every step; ``figures`` reads the epoch's, by the names they go by."""
        now = time.monotonic()
        if now - self.shown < REFRESH_SECONDS:
            return
        self._measure_speed(step, now)
        if self.bar is not None:
            text = f"{_summary(figures(), 'train')}  {self.examples_per_second:,.0f}/s"
            self.bar.update(self.task, completed=step, description=text)

    def _measure_speed(self, step: int, now: float) -> None:
        steps, seconds = step - self.shown_step, now - self.shown
        self.examples_per_second = steps * self.batch_size / max(seconds, 1e-9)
        self.shown, self.shown_step = now, step

    def epoch(
        self, record: dict[str, Any], model: LatentVariableModel, every: int, told: Tensor | None
    ) -> None:
        """Called after every epoch with its metrics; ``told`` are the samples' conditions."""
        assert self.writer is not None
        if not self.examples_per_second:  # a run too short for a refresh
            self._measure_speed(record["step"], time.monotonic())
        for name in record.keys() - {"epoch", "step"}:
            self.writer.add_scalar(name.replace("_", "/", 1), record[name], record["step"])
        self.writer.add_scalar("examples_per_second", self.examples_per_second, record["step"])
        if record["epoch"] % every == 0:
            self._log_samples(self.writer, model, record["step"], told)
        self._line(record)

    def _log_samples(
        self, writer: SummaryWriter, model: LatentVariableModel, step: int, told: Tensor | None
    ) -> None:
        """That a p(x|z) has no mean is no reason to end a training."""
        generator = torch.Generator(next(model.parameters()).device).manual_seed(0)
        try:
            samples = model.sample(SAMPLES, generator=generator, condition=told)
        except UnsupportedError as error:
            self.warn(f"TensorBoard shows no samples: {error}")
            return
        if isinstance(samples, Tensor) and not samples.isfinite().all():
            self.warn("TensorBoard shows no samples: the mean of p(x|z) is not finite")
            return
        model.modality.log(writer, samples, step)

    def state(self, message: str) -> None:
        """A line on the data, where a run is to be seen."""
        if self.visible:
            self._print(message)

    def warn(self, message: str) -> None:
        """A line above the bar, or on standard error; never kept quiet."""
        self._print(f"warning: {message}")

    def _line(self, record: dict[str, Any]) -> None:
        now = time.monotonic()
        last = record["step"] >= self.total_steps
        if not self.visible or self.bar or (now - self.logged < LOG_LINE_SECONDS and not last):
            return
        self.logged = now
        self._print(
            f"epoch {record['epoch']}  train {_summary(record, 'train')}  "
            f"validation {_summary(record, 'validation')}  "
            f"{self.examples_per_second:,.0f} examples/s"
        )

    def _print(self, text: str) -> None:
        if self.bar is not None:
            self.bar.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)


def _summary(figures: Mapping[str, float], split: str) -> str:
    """The figures of a split, but for the loss, which is their sum, and the terms of an ELBO."""
    own = {key.removeprefix(f"{split}_"): value for key, value in figures.items()
           if key.startswith(f"{split}_")}  # fmt: skip
    terms = {"loss"} | ({"log_likelihood"} if "elbo" in own else set())
    return "  ".join(
        f"{LABELS.get(name, name)} {value:.2f}" for name, value in own.items() if name not in terms
    )


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=Console(stderr=True))
