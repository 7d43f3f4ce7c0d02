"""The merged entries as typed specs, every reference among them checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import ConfigError, UnknownNameError
from zoo.registry.reading import Entries, Merged, merge_entries
from zoo.registry.specs import SCHEMAS, BenchmarkSpec, CheckpointSpec, Registry
from zoo.yaml_files import read_mapping


def read_registry(paths: Iterable[Path], plugins: Iterable[tuple[str, Entries]] = ()) -> Registry:
    """The registry of these files and plug-ins: :func:`merge_entries`, then :func:`checked`."""
    return checked(merge_entries([*((str(path), read_mapping(path)) for path in paths), *plugins]))


def checked(merged: Merged) -> Registry:
    """What was merged, as typed entries.

    Raises ConfigError for unknown keys, wrong types and references (a benchmark's dataset, a
    checkpoint's variant) to names that do not exist.
    """
    entries, origin = merged.entries, merged.origin
    parsed: dict[str, Any] = {
        section: {
            name: schema.parse(raw, f"{origin[section, name]}: {section}.{name}")
            for name, raw in entries[section].items()
        }
        for section, schema in SCHEMAS.items()
    }
    built = Registry(mirrors=merged.mirrors, **parsed)
    built._broken = merged.broken
    _check_references(built, origin)
    return built


def _check_references(built: Registry, origin: Mapping[tuple[str, str], str]) -> None:
    for section in ("benchmarks", "classifiers", "checkpoints"):
        for name, spec in getattr(built, section).items():
            where = f"{origin[section, name]}: {section}.{name}"
            try:
                shifts = spec.shifts.values() if isinstance(spec, BenchmarkSpec) else ()
                for dataset in (spec.dataset, *(each.dataset for each in shifts if each.dataset)):
                    if section != "benchmarks" or "/" not in dataset:  # which no name holds
                        built.dataset(dataset)
                if isinstance(spec, CheckpointSpec):
                    built.variant(spec.variant)
            except UnknownNameError as error:
                raise ConfigError(f"{where}: {error}") from error
