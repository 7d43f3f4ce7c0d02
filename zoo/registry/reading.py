"""Registry files and plug-ins, merged and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import ConfigError, UnknownNameError
from zoo.registry.specs import (
    BARE_FILE_NAME,
    COMPONENTS,
    SECTIONS,
    CheckpointSpec,
    Registry,
    singular,
)
from zoo.settings import merge
from zoo.yaml_files import read_mapping

Entries = Mapping[str, Mapping[str, Any]]
"""Of each section the raw entries by name."""


def read_registry(
    paths: Iterable[Path], plugins: Iterable[tuple[str, Entries]] = (), broken: tuple[str, ...] = ()
) -> Registry:
    """Merge registry files and what plug-ins add; errors name the file and the place in it.

    ``plugins`` are pairs of an origin, as messages say it, and its entries. ``broken`` says what
    could not be read of them.

    Raises ConfigError for unknown keys, wrong types, unknown parents, cycles, names given twice
    and references (a benchmark's dataset, a checkpoint's variant) to names that do not exist.
    """
    merged: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    origin: dict[tuple[str, str], str] = {}
    mirrors: list[str] = []
    for where, content in [*((str(path), read_mapping(path)) for path in paths), *plugins]:
        _refuse_unknown_sections(content, where)
        mirrors += _mirrors(content, where)
        for section in SECTIONS:
            for name, raw in _section(content, section, where).items():
                if (section, name) in origin:
                    first = origin[section, name]
                    raise ConfigError(
                        f"{where}: {section}.{name} is already defined in {first}; rename one"
                    )
                origin[section, name] = where
                merged[section][name] = raw
    built = _build(merged, origin, mirrors)
    built._broken = broken
    return built


def check_name(name: object, where: str) -> None:
    """Raise ConfigError for no name: it is also part of file names and of descriptions."""
    if not isinstance(name, str) or not re.fullmatch(BARE_FILE_NAME, name):
        raise ConfigError(
            f"{where}: {name!r} is no name: use letters, digits, '.', '_' and '-', starting with "
            f"a letter or digit; in quotes where YAML reads something else, as in 1 or yes"
        )


def _build(
    merged: dict[str, dict[str, Any]], origin: dict[tuple[str, str], str], mirrors: list[str]
) -> Registry:
    for section in COMPONENTS:
        entries = merged[section]
        merged[section] = {
            name: _inherit(section, name, entries, origin[section, name]) for name in entries
        }
    parsed: dict[str, Any] = {
        section: {
            name: schema.parse(raw, f"{origin[section, name]}: {section}.{name}")
            for name, raw in merged[section].items()
        }
        for section, schema in SECTIONS.items()
    }
    built = Registry(mirrors=mirrors, **parsed)
    _check_references(built, origin)
    return built


def _check_references(built: Registry, origin: dict[tuple[str, str], str]) -> None:
    for section in ("benchmarks", "checkpoints"):
        for name, spec in getattr(built, section).items():
            where = f"{origin[section, name]}: {section}.{name}"
            try:
                if section == "checkpoints" or "/" not in spec.dataset:  # which no name holds
                    built.dataset(spec.dataset)
                if isinstance(spec, CheckpointSpec):
                    built.variant(spec.variant)
            except UnknownNameError as error:
                raise ConfigError(f"{where}: {error}") from error


def _inherit(section: str, name: str, entries: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Follow ``extends`` to the root. ``config`` and ``training`` merge as overrides do.

    An objective is taken whole: the parameters of one do not fit another.
    """
    chain = [name]
    while (parent := entries[chain[-1]].get("extends")) is not None:
        place = f"{where}: {section}.{chain[-1]}.extends"
        if parent in chain:
            raise ConfigError(f"{place}: cycle {' -> '.join([*chain, parent])}")
        if not isinstance(parent, str) or parent not in entries:
            unknown = UnknownNameError(singular(section), str(parent), entries)
            raise ConfigError(f"{place}: {unknown}")
        chain.append(parent)
    result: dict[str, Any] = {}
    for ancestor in reversed(chain):
        for key, value in entries[ancestor].items():
            inherited = result.get(key)
            both = isinstance(inherited, dict) and isinstance(value, dict)
            merges = both and key in ("config", "training")
            result[key] = merge(inherited, value) if merges else value  # type: ignore[arg-type]
    result.pop("extends", None)
    return result


def _refuse_unknown_sections(content: Mapping[str, Any], where: str) -> None:
    for key in content:
        if key not in Registry.model_fields:
            unknown = UnknownNameError("section", str(key), Registry.model_fields)
            raise ConfigError(f"{where}: {unknown}")


def _mirrors(content: Mapping[str, Any], where: str) -> list[str]:
    mirrors = content.get("mirrors") or []
    if not isinstance(mirrors, list) or not all(isinstance(url, str) for url in mirrors):
        raise ConfigError(f"{where}: mirrors: expected a list of addresses, got {mirrors!r}")
    return mirrors


def _section(content: Mapping[str, Any], section: str, where: str) -> dict[str, Any]:
    entries = content.get(section) or {}
    if not isinstance(entries, dict):
        raise ConfigError(f"{where}: {section}: expected a mapping from names to entries")
    for name, raw in entries.items():
        check_name(name, f"{where}: {section}")
        if not isinstance(raw, dict):
            raise ConfigError(f"{where}: {section}.{name}: expected a mapping, got {raw!r}")
    return entries
