"""The verb measure: several models under several metrics, what is recorded not measured again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from zoo.api.arguments import seed_number, whole_number
from zoo.api.load import file_of
from zoo.api.source import Source, dataset_for, named_apart, refuse_different_datasets, unwrapped
from zoo.core.component import Selected
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.data.partition import check_split
from zoo.devices import existing_device
from zoo.errors import ConfigError, ZooError
from zoo.evaluation.evaluate import refuse_too_few
from zoo.files import as_path, sha256
from zoo.mappings import merge
from zoo.metrics import Metric, Records, Scores, Subject, measure_all
from zoo.registry import registry
from zoo.registry.specs import BenchmarkSpec
from zoo.storage import checkpoint
from zoo.training.launch import Run

MetricName: TypeAlias = str | Mapping[str, Any]
"""A registered name, or a mapping of it and of its settings."""
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is measured, the examples decoded so far and in all."""


def measure(
    sources: Source | Sequence[Source] | Mapping[str, Source],
    metrics: Iterable[MetricName] | None = None,
    *,
    benchmark: str | None = None,
    dataset: object | None = None,
    split: str = "test",
    samples: int | None = None,
    examples: int | None = None,
    seed: int | None = None,
    data_root: str | None = None,
    records: str | Path | bool = True,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Scores:
    """Every metric of every model, with paired differences to the best; ``print`` the result.

    ``sources`` is what :func:`zoo.compare` takes, or one model. ``metrics`` are registered names,
    or mappings of a name and its settings, ``{"name": "knn", "labels": 100}``: by default those of
    the ``benchmark``, else likelihoods. The data are the benchmark's, or a ``dataset`` and its
    ``split``: by default what all the models were trained on. Arguments given beside a benchmark
    replace its own.

    Figures and the values of the examples are kept in the cache, by the SHA-256 of the checkpoint,
    of the data, the metric's version and the protocol, and are not measured again; ``records`` is
    another folder for them, or False for none. Models in memory have no file, and no records.
    ``progress`` is told what is measured, the examples decoded so far, and how many in all.

    Raises UnknownNameError, ConfigError, DataError or CheckpointError. What a model does not have,
    as an autoencoder a likelihood, is said in the result.

    >>> scores = measure(["gaussian-vae-digits", "beta-vae-digits"], ["elbo"], examples=50)
    >>> [outcome.measured.value < 0 for outcome in scores.outcomes[0]]
    [True, True]
    """
    given = {"samples": samples, "examples": examples, "seed": seed}
    protocol = _protocol(benchmark, dataset, split, given)
    chosen = _chosen(metrics, protocol)
    kept = _records(records)
    one = isinstance(sources, str | Path | nn.Module | Run)
    entries = _entries([sources] if one else sources, device)  # type: ignore[list-item, arg-type]
    if benchmark is None and dataset is None:
        refuse_different_datasets(entries)
    columns = []
    for entry in entries:
        subject = Subject(
            entry.load,
            dataset_for(entry, dataset if benchmark is None else protocol.dataset, data_root),
            protocol.split,
            identity=entry.identity,
            samples=protocol.samples,
            examples=protocol.examples,
            seed=protocol.seed,
            progress=None if progress is None else partial(progress, entry.name),
        )
        there = len(getattr(subject.data, subject.split))
        refuse_too_few(min(there, subject.limit or there), f"{subject.data.name}/{subject.split}")
        columns.append(measure_all(subject, chosen, kept))
    title = f"{benchmark or subject.data.name}: {protocol.split}, K = {protocol.samples}"
    rows = tuple(zip(*columns, strict=True))
    return Scores(title, tuple(entry.name for entry in entries), tuple(chosen), rows)


@dataclass(frozen=True)
class _Entry:
    """A model that is loaded when it is first needed."""

    name: str
    load: Callable[[], LatentVariableModel]
    config: ModelConfig
    metadata: checkpoint.CheckpointMetadata | None = None
    identity: str | None = None

    @property
    def dataset(self) -> str | None:
        """What it was trained on."""
        return None if self.metadata is None else self.metadata.dataset


def _entries(
    sources: Sequence[Source] | Mapping[str, Source], device: str | torch.device
) -> list[_Entry]:
    place = existing_device(device)
    return [_entry(name, source, place) for name, source in named_apart(sources).items()]


def _entry(name: str, source: Source, device: torch.device) -> _Entry:
    if isinstance(source, nn.Module):
        model = unwrapped(source)
        return _Entry(name, lambda: _sound(name, model), model.config)
    path = file_of(source.directory if isinstance(source, Run) else source)
    metadata = checkpoint.read_metadata(path)
    config = checkpoint.resolved(metadata, path)[1]
    return _Entry(
        name,
        lambda: _sound(name, checkpoint.load(path, device=device)),
        config,
        metadata,
        sha256(path),
    )


def _sound(name: str, model: LatentVariableModel) -> LatentVariableModel:
    """A model whose weights are finite: of others some metrics would say something."""
    if all(weight.isfinite().all() for weight in model.parameters()):
        return model
    raise ZooError(
        f"{name} has weights that are not finite: its file is damaged, or the training diverged"
    )


def _protocol(
    benchmark: str | None, dataset: object | None, split: str, given: Mapping[str, Any]
) -> BenchmarkSpec:
    """The registered protocol, or that of a likelihood; what is given goes on top."""
    check_split(split)
    if benchmark is not None and dataset is not None:
        raise ConfigError("give either a benchmark or a dataset to measure on, not both")
    changed = {key: whole_number(key, value) for key, value in given.items() if value is not None}
    if seed := changed.get("seed"):
        seed_number(seed)
    if benchmark is None:
        spec = BenchmarkSpec(summary="", dataset="", split=split)
    else:
        spec = registry().benchmark(benchmark)
    return BenchmarkSpec.parse(merge(spec.model_dump(), changed), "measure")


def _chosen(
    metrics: Iterable[MetricName] | None, protocol: BenchmarkSpec
) -> list[Selected[Metric]]:
    if isinstance(metrics, str | bytes | Mapping):
        raise ConfigError(f"give a list of metrics, for one as [{metrics!r:.100}]")
    if metrics is not None and not isinstance(metrics, Iterable):
        raise ConfigError(f"give a list of metrics, got {metrics!r:.100}")
    asked = list(protocol.metrics if metrics is None else metrics)
    if not asked:
        raise ConfigError("no metric is named; leave them out for those of the benchmark")
    chosen = [Selected.parse("metrics", each) for each in asked]
    if len(set(chosen)) < len(chosen):
        raise ConfigError("the same metric is asked for twice; name each with its settings once")
    return chosen


def _records(given: str | Path | bool) -> Records | None:
    if given is False:
        return None
    return Records(None if given is True else as_path(given, "records"))
