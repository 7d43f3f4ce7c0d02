"""Metrics of a subject: what is recorded is read, what is missing is measured and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from zoo.core.component import Selected
from zoo.core.modes import evaluation_mode
from zoo.errors import UnsupportedError
from zoo.metrics.base import Measured, Metric
from zoo.metrics.features.compared import Role
from zoo.metrics.records import Key, Records
from zoo.metrics.subject import Subject
from zoo.randomness import seeded


@dataclass(frozen=True)
class Outcome:
    """A figure, or why there is none; whether it was ``reused``, and how long it took."""

    measured: Measured | None = None
    refusal: str | None = None
    reused: bool = False
    seconds: float = 0.0
    unrecorded: str | None = None
    """Why it could not be kept, where it could not."""


def measure_all(
    subject: Subject, metrics: Sequence[Selected[Metric]], records: Records | None
) -> list[Outcome]:
    """Of each metric what it says of a subject, in their order.

    Nothing is recorded without ``records``, and of a subject whose model has no file. A metric that
    the model or the data do not have is no error: its outcome says why.
    """
    outcomes = [
        _outcome(subject, metric, records, key_of(subject, metric), _checked_figure)
        for metric in metrics
    ]
    subject.forget_partial()
    return outcomes


def measure_reference(
    subject: Subject, metric: Selected[Metric], records: Records | None, role: Role, basis: str
) -> Outcome:
    """The figure of what stands in the place of the samples of a subject that has one itself.

    It is recorded for all models whose figures are of that ``basis``.
    """
    own = key_of(subject, metric)
    key = own and replace(own, model=role, protocol={**own.protocol, "basis": basis})
    return _outcome(
        subject, metric, records, key, lambda built, subject: built.measure_as(subject, role)
    )


def key_of(subject: Subject, metric: Selected[Metric]) -> Key | None:
    """All that a figure depends on; None for a model that has no file, and so no name."""
    cls = metric.component
    if subject.identity is None or not cls.recorded:
        return None
    splits = [subject.split, *(["train"] if cls.reads_training else [])]
    digests = [subject.digest(name) for name in splits]
    protocol: dict[str, Any] = {
        "split": subject.split,
        "examples": subject.limit,
        "seed": subject.seed,
    }
    if cls.samples_matter:
        protocol["samples"] = subject.samples
    protocol |= metric.build().depends_on(subject)
    return Key(subject.identity, "+".join(digests), metric.dump(), cls.version, protocol)


def _checked_figure(metric: Metric, subject: Subject) -> Measured:
    metric.check(subject)
    return metric.measure(subject)


def _outcome(
    subject: Subject,
    metric: Selected[Metric],
    records: Records | None,
    key: Key | None,
    measure: Callable[[Metric, Subject], Measured],
) -> Outcome:
    """What is recorded under a key, else measured."""
    if records is not None and key is not None and (found := records.read(key)) is not None:
        return Outcome(found, reused=True)
    started = time.monotonic()
    try:
        model, noise = subject.model, seeded(subject.seed, subject.device)
        with noise, torch.no_grad(), evaluation_mode(model):
            measured = measure(metric.build(), subject)
    except UnsupportedError as error:
        return Outcome(refusal=str(error))
    seconds = time.monotonic() - started
    unrecorded = None if records is None else _unrecorded(records, key, measured, seconds)
    return Outcome(measured, seconds=seconds, unrecorded=unrecorded)


def _unrecorded(
    records: Records, key: Key | None, measured: Measured, seconds: float
) -> str | None:
    """Why a figure could not be kept: it is worth no less for that."""
    try:
        if key is not None:
            records.write(key, measured, seconds)
    except OSError as error:
        return f"{records.folder}: {error.strerror or error}"
    return None
