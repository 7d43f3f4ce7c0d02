"""The verbs that measure: evaluate, compare, verify."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch

from zoo.api.arguments import whole_number
from zoo.api.source import (
    Opened,
    Source,
    dataset_for,
    open_all,
    opened,
    refuse_different_datasets,
)
from zoo.data import Dataset, Examples
from zoo.data.conversion import Conversion, ImageSize
from zoo.data.partition import check_split
from zoo.errors import ConfigError
from zoo.evaluation import (
    Comparison,
    Evaluation,
    Verification,
    evaluate_model,
    refuse_mixed,
    verify_figures,
)
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
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on a split: likelihoods in nats per example with standard errors.

    ``source`` is a model or a :class:`Run`, measured where it is, or a checkpoint's name or path,
    loaded to ``device``. ``dataset`` is what :func:`zoo.load_dataset` takes, by default what the
    checkpoint was trained on, converted as for that training; of others the images are resized to
    what the model reads, or to ``image_size``, and have their channels converted to
    ``image_channels``, both as :func:`zoo.load_dataset` does. With ``unknown_is_missing`` a value
    that a table's column had not in the training counts as missing, and is no error. ``examples``
    takes so many, at even distances. ``progress`` is called with the number of decoded examples so
    far and in all. Threads that call it measure one after another.

    Raises UnknownNameError, ConfigError, DataError or CheckpointError.

    >>> score = evaluate("gaussian-vae-digits", samples=10)
    >>> score.examples, score.nll.value < -score.elbo.value
    (300, True)
    """
    reading = (image_size, image_channels, unknown_is_missing)
    protocol = _Protocol(dataset, split, samples, examples, seed, data_root, *reading)
    return _measure(opened(source, device), protocol, progress)


def compare(
    sources: Sequence[Source] | Mapping[str, Source],
    *,
    benchmark: str | None = None,
    dataset: object | None = None,
    samples: int | None = None,
    examples: int | None = None,
    seed: int | None = None,
    data_root: str | None = None,
    image_channels: int | None = None,
    device: str | torch.device = "cpu",
) -> Comparison:
    """Measure several models under one protocol; print the result for a table.

    ``sources`` are what :func:`evaluate` takes, in a list, or in a mapping from the names to show.
    The protocol is a registered ``benchmark``, or the test split of a ``dataset``: by default of
    the one that all were trained on. Its images are resized to what each model reads, and have
    their channels converted where ``image_channels`` says so. Arguments given beside a benchmark
    replace its own. Raises what :func:`evaluate` raises, and ConfigError when the figures could not
    be compared (different kinds of input, pixels, vocabularies or measures).

    >>> print(compare(["gaussian-vae-digits", "beta-vae-digits"], benchmark="digits", samples=10))
    digits...
    """
    given = {"samples": samples, "examples": examples, "seed": seed, "data_root": data_root,
             "image_channels": image_channels}  # fmt: skip
    changed: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    protocol = replace(_registered_protocol(benchmark, dataset), **changed)
    entries = open_all(sources, device)
    if protocol.dataset is None:
        refuse_different_datasets(entries)
    refuse_mixed([entry.reader for entry in entries])  # before any long evaluation
    rows = tuple(_measure(entry, protocol) for entry in entries)
    return Comparison(title=benchmark or rows[0].test_set, rows=rows)


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


def _registered_protocol(benchmark: str | None, dataset: object | None) -> _Protocol:
    if benchmark is None:
        return _Protocol(dataset)
    if dataset is not None:
        raise ConfigError("give either a benchmark or a dataset to compare on, not both")
    spec = registry().benchmark(benchmark)
    return _Protocol(spec.dataset, spec.split, spec.samples, spec.examples, spec.seed)


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
            progress=progress,
        )


def _data_for(entry: Opened, protocol: _Protocol) -> Dataset:
    """The protocol's dataset as the model reads it."""
    conversion = (protocol.image_size, protocol.image_channels)
    return dataset_for(
        entry, protocol.dataset, protocol.data_root, *conversion, protocol.unknown_is_missing
    )
