"""What the zoo holds, by name. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from zoo.errors import UnknownNameError
from zoo.registry import BenchmarkSpec, CheckpointSpec, DatasetSpec, VariantSpec, registry

Spec = VariantSpec | DatasetSpec | BenchmarkSpec | CheckpointSpec


def list_variants(pattern: str = "*") -> list[str]:
    """Names of the variants that match a shell pattern, sorted.

    >>> list_variants("*gaussian*")
    ['gaussian-vae']
    """
    return _matching(registry().variants, pattern)


def list_datasets(pattern: str = "*") -> list[str]:
    """Names of the datasets that match a shell pattern, sorted."""
    return _matching(registry().datasets, pattern)


def list_benchmarks(pattern: str = "*") -> list[str]:
    """Names of the benchmarks that match a shell pattern, sorted."""
    return _matching(registry().benchmarks, pattern)


def list_checkpoints(pattern: str = "*") -> list[str]:
    """Names of the released checkpoints that match a shell pattern, sorted."""
    return _matching(registry().checkpoints, pattern)


def info(name: str) -> Spec:
    """All that is registered under a name: a checkpoint, a variant, a dataset or a benchmark.

    Looked for in that order. Raises UnknownNameError with the nearest name.

    >>> info("gaussian-vae").paper
    'arXiv:1312.6114'
    """
    known = registry()
    for section in (known.checkpoints, known.variants, known.datasets, known.benchmarks):
        if name in section:
            return section[name]
    names = {*known.checkpoints, *known.variants, *known.datasets, *known.benchmarks}
    raise UnknownNameError("name", name, names)


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    return sorted(name for name in names if fnmatchcase(name, pattern))
