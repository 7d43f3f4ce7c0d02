"""What a comparison measures, and on what: a registered benchmark, or a file of the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from zoo.api.arguments import seed_number, whole_number
from zoo.core.component import Selected
from zoo.data.partition import check_split
from zoo.data.paths import dataset_of
from zoo.errors import ConfigError
from zoo.mappings import merge
from zoo.metrics import Metric
from zoo.registry import registry
from zoo.registry.specs import BenchmarkSpec, ShiftSpec
from zoo.yaml_files import parse_text, read_text

MetricName: TypeAlias = str | Mapping[str, Any]
"""A registered name, or a mapping of it and of its settings."""
SUFFIXES = (".yaml", ".yml")
"""Of files that say a benchmark."""


class Benchmark(NamedTuple):
    """A protocol, and what it is called; None for data that have none."""

    name: str | None
    spec: BenchmarkSpec

    @property
    def shifts(self) -> dict[str, ShiftSpec]:
        """On what it is measured: by no name the benchmark's own examples, then the others."""
        return {"": ShiftSpec(), **self.spec.shifts}

    def changed(self, given: Mapping[str, Any]) -> Benchmark:
        """With what is given, and not None, on top. Raises ConfigError for what cannot be."""
        changed = {key: value for key, value in given.items() if value is not None}
        if "split" in changed:
            check_split(changed["split"])
        for key in changed.keys() - {"split"}:
            changed[key] = whole_number(key, changed[key])
        if seed := changed.get("seed"):
            seed_number(seed)
        spec = BenchmarkSpec.parse(merge(self.spec.model_dump(), changed), "compare")
        return self._replace(spec=spec)


LIKELIHOODS = Benchmark(None, BenchmarkSpec(summary="", dataset=""))
"""What is measured on data without a benchmark."""


def benchmark_of(dataset: object) -> Benchmark:
    """That of a dataset: the one called like it, or the only one on it; else likelihoods.

    >>> benchmark_of("digits").name, benchmark_of("./mine.npz").name
    ('digits', None)
    """
    if not isinstance(dataset, str):
        return LIKELIHOODS
    known = registry().benchmarks
    on_it = [name for name, spec in known.items() if (spec.dataset, spec.shifts) == (dataset, {})]
    named = [dataset] if dataset in on_it else on_it
    return Benchmark(named[0], known[named[0]]) if len(named) == 1 else LIKELIHOODS


def named_benchmark(benchmark: str | Path) -> Benchmark:
    """What a registered name says, or a file, whose name without suffix is the benchmark's.

    Raises UnknownNameError for a name not registered, ConfigError for a file that says no
    benchmark.
    """
    known = registry().benchmarks
    is_name = isinstance(benchmark, str) and benchmark in known
    if not is_name and isinstance(benchmark, str | Path) and Path(benchmark).suffix in SUFFIXES:
        return Benchmark(Path(benchmark).stem, _read(Path(benchmark)))
    return Benchmark(str(benchmark), registry().benchmark(benchmark))  # type: ignore[arg-type]


def _read(path: Path) -> BenchmarkSpec:
    """Of a file: what stands in an entry of the registry, paths being relative to the file."""
    content = parse_text(read_text(path, "the benchmark"), str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping, as an entry of 'benchmarks' is")
    spec = BenchmarkSpec.parse(content, str(path))
    shifts = {
        name: each.model_copy(update={"dataset": each.dataset and dataset_of(path, each.dataset)})
        for name, each in spec.shifts.items()
    }
    return spec.model_copy(update={"dataset": dataset_of(path, spec.dataset), "shifts": shifts})


def chosen_metrics(
    metrics: Iterable[MetricName] | None, spec: BenchmarkSpec
) -> list[Selected[Metric]]:
    """Those that are named, else the benchmark's. Raises ConfigError for what lists none."""
    if isinstance(metrics, str | bytes | Mapping):
        raise ConfigError(f"give a list of metrics, for one as [{metrics!r:.100}]")
    if metrics is not None and not isinstance(metrics, Iterable):
        raise ConfigError(f"give a list of metrics, got {metrics!r:.100}")
    asked = list(spec.metrics if metrics is None else metrics)
    if not asked:
        raise ConfigError("no metric is named; leave them out for those of the benchmark")
    chosen = [Selected.parse("metrics", each) for each in asked]
    if len(set(chosen)) < len(chosen):
        raise ConfigError("the same metric is asked for twice; name each with its settings once")
    return chosen
