"""The verb compare: several models under several metrics, what is recorded not measured again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

from zoo.api.benchmark import (
    LIKELIHOODS,
    Benchmark,
    MetricName,
    benchmark_of,
    chosen_metrics,
    named_benchmark,
)
from zoo.api.seeds import groups_of_seeds
from zoo.api.source import Opened, Source, dataset_for, entries_of
from zoo.api.unlike import refuse_different_datasets, refuse_other_examples, refuse_other_forms
from zoo.core.model import LatentVariableModel
from zoo.data import Dataset, Kept
from zoo.data.shift import shifted
from zoo.errors import ConfigError, ZooError
from zoo.evaluation.evaluate import refuse_too_few
from zoo.files import as_path
from zoo.metrics import Records, References, Scores, Subject, measure_all
from zoo.metrics.seeds import averaged
from zoo.registry.specs import BenchmarkSpec
from zoo.training.launch import Run

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is measured, the examples decoded so far and in all."""


def compare(
    sources: Source | Sequence[Source] | Mapping[str, Source],
    metrics: Iterable[MetricName] | None = None,
    *,
    benchmark: str | Path | None = None,
    dataset: object | None = None,
    split: str | None = None,
    samples: int | None = None,
    examples: int | None = None,
    seed: int | None = None,
    data_root: str | None = None,
    image_channels: int | None = None,
    average_seeds: bool = False,
    records: str | Path | bool = True,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Scores:
    """Every metric of every model, with paired differences to the best; ``print`` the result.

    ``sources`` are what :func:`zoo.evaluate` takes: one, a list, or a mapping from the names to
    show. The protocol is a registered ``benchmark``, or a YAML file that says what an entry of the
    registry does, its dataset a name or a path from the file; or that of the ``dataset``: by
    default of the one that all the models were trained on. A dataset without a benchmark has its
    test split and likelihoods measured. Arguments given beside a benchmark replace its own.
    ``metrics`` are registered names, or mappings of a name and its settings, ``{"name": "knn",
    "labels": 100}``.
    Images are resized to what each model reads, and have their channels converted where
    ``image_channels`` says so.

    Figures and the values of the examples are kept in the cache, by the SHA-256 of the checkpoint,
    of the data, the metric's version and the protocol, and are not measured again; ``records`` is
    another folder for them, or False for none. Models in memory have no file, and no records.
    ``progress`` is told what is measured, the examples decoded so far, and how many in all.

    With ``average_seeds`` runs that differ in ``train.seed`` alone become one column, the mean of
    their figures with the standard deviation over seeds.

    What a model does not have, as an autoencoder a likelihood, is said in the result, and what has
    no common scale, as a mass and a density, is not ranked there. Raises UnknownNameError,
    ConfigError, DataError or CheckpointError, also for models of other vocabularies, columns or
    sizes of images, which do not read the same examples.

    >>> scores = compare(["gaussian-vae-digits", "beta-vae-digits"], ["elbo"], examples=50)
    >>> [outcome.measured.value < 0 for outcome in scores.outcomes[0]]
    [True, True]
    """
    if benchmark is not None and dataset is not None:
        raise ConfigError("give either a benchmark or a dataset to compare on, not both")
    given = {"split": split, "samples": samples, "examples": examples, "seed": seed}
    asked = LIKELIHOODS if benchmark is None else named_benchmark(benchmark)
    asked.changed(given)  # what is wrong with it is said before models are read
    one = isinstance(sources, str | Path | nn.Module | Run | Opened)
    entries = entries_of([sources] if one else sources, device)  # type: ignore[list-item, arg-type]
    if benchmark is None and dataset is None:
        refuse_different_datasets(entries)
    if benchmark is None:
        asked = benchmark_of(entries[0].dataset if dataset is None else dataset)
    protocol = asked.changed(given)
    groups = groups_of_seeds(entries) if average_seeds else None
    chosen, kept = chosen_metrics(metrics, protocol.spec), _records(records)
    wanted = dataset if benchmark is None else protocol.spec.dataset
    others = dict.fromkeys(shift.dataset for shift in protocol.shifts.values())
    read = {
        other: _data_of(entries, other or wanted, protocol.spec.split, data_root, image_channels)
        for other in others
    }
    shift_data = [read[shift.dataset] for shift in protocol.shifts.values()]
    references, columns = References(chosen, kept), []
    names, left = tuple(entry.name for entry in entries), entries[::-1]
    del entries  # a model is not kept in memory longer than it is measured
    for data in zip(*shift_data, strict=True):
        subjects = _subjects(left.pop(), data, protocol, progress)
        found = [measure_all(subject, chosen, kept) for subject in subjects]
        if len(found) == 1:
            references.measure(subjects[0], found[0])
        columns.append([outcome for each in found for outcome in each])
    scores = Scores(
        _title(protocol, shift_data[0][0]),
        names,
        tuple(chosen) * len(protocol.shifts),
        tuple(zip(*columns, strict=True)),
        shifts=tuple(name for name in protocol.shifts if protocol.spec.shifts for _ in chosen),
    )
    return references.beside(scores if groups is None else averaged(scores, groups))


def _sound(entry: Opened) -> LatentVariableModel:
    """Its model, whose weights are finite: of others some metrics would say something."""
    if all(weight.isfinite().all() for weight in entry.model.parameters()):
        return entry.model
    raise ZooError(
        f"{entry.name} has weights that are not finite: its file is damaged, or the training "
        "diverged"
    )


def _data_of(
    entries: Sequence[Opened],
    dataset: object | None,
    split: str,
    data_root: str | None,
    image_channels: int | None,
) -> list[Dataset]:
    """The data as each model reads them, in memory once for all that read them alike."""
    refuse_other_forms(entries)
    kept = Kept()
    data = [
        dataset_for(entry, dataset, data_root, image_channels=image_channels, kept=kept)
        for entry in entries
    ]
    refuse_other_examples(entries, data, split)
    return data


def _subjects(
    entry: Opened, data: Sequence[Dataset], protocol: Benchmark, progress: Progress | None
) -> list[Subject]:
    """One for each of the shifts; all share the model, which is loaded when it is first needed."""
    spec = protocol.spec
    subjects = []
    for each, shift in zip(data, protocol.shifts.values(), strict=True):
        refuse_too_few(_count(each, spec), f"{each.name}/{spec.split}")
        seed = spec.seed if shift.seed is None else shift.seed
        subject = Subject(
            partial(_sound, entry),
            shifted(each, spec.split, shift.rotate, shift.noise, seed),
            spec.split,
            identity=entry.identity,
            samples=spec.samples,
            examples=spec.examples,
            seed=seed,
            progress=None if progress is None else partial(progress, entry.name),
        )
        subjects.append(subject)
    return subjects


def _count(data: Dataset, spec: BenchmarkSpec) -> int:
    """Of how many examples figures are."""
    there = len(getattr(data, spec.split))
    return min(there, spec.examples or there)


def _title(protocol: Benchmark, data: Dataset) -> str:
    """What is measured, and how."""
    name, spec = protocol.name or data.name, protocol.spec
    on = spec.split if name == data.name else f"{data.name}/{spec.split}"
    count = f"{_count(data, spec):,} examples"
    return f"{name}: {on}, {count}, K = {spec.samples}, seed {spec.seed}"


def _records(given: str | Path | bool) -> Records | None:
    if given is False:
        return None
    return Records(None if given is True else as_path(given, "records"))
