"""What a model costs: weights, operations, time."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from zoo.core.batch import Batch
from zoo.metrics.base import Measured, Metric
from zoo.metrics.subject import Subject
from zoo.settings import Settings

MEDIAN_ERROR = math.sqrt(math.pi / 2) / 1.349
"""The standard error of the median of n normal times, over their interquartile range and n^-1/2."""


class Weights(Metric):
    """How many numbers a training decides."""

    version = 1
    unit = ""
    better = "lower"

    def measure(self, subject: Subject) -> Measured:
        return Measured.of_all(sum(each.numel() for each in subject.model.parameters()))


class Operations(Metric):
    """Of encoding one example and of decoding its code, those of matrix products and convolutions.

    A multiplication and an addition are two. What decodes pixel by pixel is counted for all pixels.
    """

    version = 1
    unit = "floating-point operations an example"
    better = "lower"

    def measure(self, subject: Subject) -> Measured:
        batch = first_examples(subject, 1)
        with FlopCounterMode(display=False) as counter:
            decoded(subject, subject.model.encode(batch), batch)
        return Measured.of_all(counter.get_total_flops())


class _Time(Metric):
    """The median of as many repeats as there is time for, a batch at a time."""

    class Config(Settings):
        """How many examples at a time, and for how many ``seconds`` it is repeated."""

        batch: int = Field(64, ge=1)
        seconds: float = Field(2.0, gt=0, le=600)

    config: Config
    version = 1
    unit = "milliseconds an example"
    better = "lower"
    recorded = False

    def measure(self, subject: Subject) -> Measured:
        batch = first_examples(subject, self.config.batch)
        step = self.step(subject, batch)
        step()  # what is made only once
        timer = Timer("step()", globals={"step": step}, num_threads=torch.get_num_threads())
        found = timer.blocked_autorange(min_run_time=self.config.seconds)
        milliseconds = 1000 / len(batch.x)
        error = MEDIAN_ERROR * found.iqr / math.sqrt(len(found.times))
        return Measured.of_all(found.median * milliseconds, error * milliseconds)

    @abstractmethod
    def step(self, subject: Subject, batch: Batch) -> Callable[[], Any]:
        """What is timed."""


class EncodeTime(_Time):
    """Of the deterministic codes of a batch, on the device and with the threads that there are.

    Another machine, or other work on it, makes it another figure.
    """

    def step(self, subject: Subject, batch: Batch) -> Callable[[], Any]:
        return lambda: subject.model.encode(batch)


class DecodeTime(_Time):
    """Of one example for each code of a batch: the mean of p(x|z), or what the model takes for it.

    Another machine, or other work on it, makes it another figure.
    """

    def step(self, subject: Subject, batch: Batch) -> Callable[[], Any]:
        codes = subject.model.encode(batch)
        return lambda: decoded(subject, codes, batch)


def first_examples(subject: Subject, count: int) -> Batch:
    """As many as are asked for, or as there are, at even distances."""
    some = subject.examples.evenly(count)
    return next(some.batches(len(some), subject.model.input_kind))


def decoded(subject: Subject, codes: Tensor, batch: Batch) -> Tensor:
    """An example for each code: the mean of p(x|z), or what the model takes for it."""
    return subject.model.estimate(codes, batch.condition)
