"""The verbs that measure one model: evaluate, verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from zoo.api.arguments import whole_number
from zoo.api.source import Opened, Source, dataset_for, opened
from zoo.data import Dataset, Examples
from zoo.data.conversion import Conversion, ImageSize
from zoo.data.partition import check_split
from zoo.errors import ConfigError
from zoo.evaluation import Evaluation, Verification, evaluate_model, verify_figures
from zoo.randomness import GENERATORS
from zoo.registry import registry

Progress: TypeAlias = Callable[[int, int], None]

DEFAULT_SAMPLES = 1000


@dataclass(frozen=True)
class _Protocol:
    """On what a model is measured, and how; no dataset stands for the one it was trained on."""

    dataset: object | None
    split: str = "test"
    samples: int = DEFAULT_SAMPLES
    examples: int | None = None
    seed: int = 0
    data_root: str | None = None
    image_size: ImageSize | None = None
    image_channels: int | None = None
    unknown_is_missing: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        check_split(self.split)
        for option in ("samples", "examples", "seed"):
            if (value := getattr(self, option)) is not None or option != "examples":
                object.__setattr__(self, option, whole_number(option, value))
        Conversion.of(self.image_size, self.image_channels)  # refused before anything is loaded


def evaluate(
    source: Source,
    *,
    dataset: object | None = None,
    split: str = "test",
    samples: int = DEFAULT_SAMPLES,
    examples: int | None = None,
    seed: int = 0,
    data_root: str | None = None,
    image_size: ImageSize | None = None,
    image_channels: int | None = None,
    unknown_is_missing: bool = False,
    device: str | torch.device = "cpu",
    compile: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on a split: likelihoods in nats per example with standard errors.

    ``source`` is a model or a :class:`Run`, measured where it is, or a checkpoint's name or path,
    loaded to ``device``. ``dataset`` is what :func:`zoo.load_dataset` takes, by default what the
    checkpoint was trained on, converted as for that training; of others the images are resized to
    what the model reads, or to ``image_size``, and have their channels converted to
    ``image_channels``, both as :func:`zoo.load_dataset` does. With ``unknown_is_missing`` a value
    that a table's column had not in the training counts as missing, and is no error. ``examples``
    takes so many, at even distances. To ``compile`` takes seconds and a C++ compiler, and
    pays for thousands of examples and samples, but not of codes on a sphere. What takes hours
    survives a kill: the same call goes on with the examples that were not weighted yet, bit for
    bit, where the model is of a file. ``progress`` is called with the number of decoded examples so
    far and in all. Threads that call it measure one after another.

    Raises UnknownNameError, ConfigError, DataError or CheckpointError.

    >>> score = evaluate("gaussian-vae-digits", samples=10)
    >>> score.examples, score.nll.value < -score.elbo.value
    (300, True)
    """
    reading = (image_size, image_channels, unknown_is_missing)
    protocol = _Protocol(dataset, split, samples, examples, seed, data_root, *reading, compile)
    return _measure(opened(source, device), protocol, progress)


def verify(
    name: str, *, data_root: str | None = None, progress: Progress | None = None
) -> Verification:
    """Recompute every figure recorded for a released checkpoint, on the same test set.

    Raises UnknownNameError, CheckpointError or DataError; figures that do not agree are reported
    in the result, not raised.

    >>> verify("autoencoder-digits").passed
    True
    """
    spec = registry().checkpoint(name)
    samples = {metric.samples for metric in spec.metrics.values() if metric.samples is not None}
    if len(samples) > 1:
        raise ConfigError(f"{name}: its figures were recorded with several sample counts {samples}")
    evaluation = evaluate(
        name,
        dataset=spec.dataset,
        samples=samples.pop() if samples else DEFAULT_SAMPLES,
        data_root=data_root,
        progress=progress,
    )
    return verify_figures(name, spec.metrics, evaluation)


def _measure(entry: Opened, protocol: _Protocol, progress: Progress | None = None) -> Evaluation:
    data = _data_for(entry, protocol)
    split: Examples = getattr(data, protocol.split)
    with GENERATORS:  # also the model's mode is one for all threads
        return evaluate_model(
            entry.model,
            split if protocol.examples is None else split.evenly(protocol.examples),
            name=entry.name,
            variant=entry.described,
            dataset=data.name,
            split_name=protocol.split,
            samples=protocol.samples,
            seed=protocol.seed,
            compile=protocol.compile,
            identity=entry.identity,
            progress=progress,
        )


def _data_for(entry: Opened, protocol: _Protocol) -> Dataset:
    """The protocol's dataset as the model reads it."""
    conversion = (protocol.image_size, protocol.image_channels)
    return dataset_for(
        entry, protocol.dataset, protocol.data_root, *conversion, protocol.unknown_is_missing
    )
