"""What a comparison measures, and on what: a registered benchmark, or one of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from zoo.api.arguments import seed_number, whole_number
from zoo.core.component import Selected
from zoo.data.partition import check_split
from zoo.errors import ConfigError
from zoo.mappings import merge
from zoo.metrics import Metric
from zoo.registry import registry
from zoo.registry.specs import BenchmarkSpec

MetricName: TypeAlias = str | Mapping[str, Any]
"""A registered name, or a mapping of it and of its settings."""


def benchmark_of(dataset: object) -> str | None:
    """The benchmark of a dataset: the one that is called like it, or the only one on it.

    >>> benchmark_of("digits"), benchmark_of("./mine.npz")
    ('digits', None)
    """
    if not isinstance(dataset, str):
        return None
    found = [name for name, spec in registry().benchmarks.items() if spec.dataset == dataset]
    return dataset if dataset in found else found[0] if len(found) == 1 else None


def protocol_of(benchmark: str | None, given: Mapping[str, Any]) -> BenchmarkSpec:
    """The registered protocol, or that of likelihoods; what is ``given`` and not None goes on top.

    Raises UnknownNameError for a name not registered, ConfigError for what cannot be given.
    """
    changed = {key: value for key, value in given.items() if value is not None}
    if "split" in changed:
        check_split(changed["split"])
    for key in changed.keys() - {"split"}:
        changed[key] = whole_number(key, changed[key])
    if seed := changed.get("seed"):
        seed_number(seed)
    if benchmark is None:
        spec = BenchmarkSpec(summary="", dataset="")
    else:
        spec = registry().benchmark(benchmark)
    return BenchmarkSpec.parse(merge(spec.model_dump(), changed), "compare")


def chosen_metrics(
    metrics: Iterable[MetricName] | None, protocol: BenchmarkSpec
) -> list[Selected[Metric]]:
    """Those that are named, else the protocol's. Raises ConfigError for what is no list of them."""
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
