"""Registry files and plug-ins, merged; what an entry says is checked by :mod:`.checking`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from zoo.errors import ConfigError, UnknownNameError
from zoo.mappings import merge
from zoo.registry.sections import BARE_FILE_NAME, COMPONENTS, SECTIONS, singular

Entries = Mapping[str, Mapping[str, Any]]
"""Of each section the raw entries by name."""


class Merged(NamedTuple):
    """What files and plug-ins say, with all that entries inherit."""

    entries: Entries
    origin: Mapping[tuple[str, str], str]
    """Of each section and name the file or plug-in, as messages say it."""
    mirrors: list[str]
    broken: tuple[str, ...]
    """What could not be read of plug-ins."""


def merge_entries(sources: Iterable[tuple[str, Entries]], broken: tuple[str, ...] = ()) -> Merged:
    """Merge what registry files and plug-ins say; errors name the file and the place in it.

    ``sources`` are pairs of an origin, as messages say it, and its entries. ``broken`` says what
    could not be read of plug-ins.

    Raises ConfigError for what is no mapping of entries, unknown parents, cycles and names given
    twice.
    """
    merged: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    origin: dict[tuple[str, str], str] = {}
    mirrors: list[str] = []
    for where, content in sources:
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
    for section in COMPONENTS:
        entries = merged[section]
        merged[section] = {
            name: _inherit(section, name, entries, origin[section, name]) for name in entries
        }
    return Merged(merged, origin, mirrors, broken)


def check_name(name: object, where: str) -> None:
    """Raise ConfigError for no name: it is also part of file names and of descriptions."""
    if not isinstance(name, str) or not re.fullmatch(BARE_FILE_NAME, name):
        raise ConfigError(
            f"{where}: {name!r} is no name: use letters, digits, '.', '_' and '-', starting with "
            f"a letter or digit; in quotes where YAML reads something else, as in 1 or yes"
        )


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
    known = (*SECTIONS, "mirrors")
    for key in content:
        if key not in known:
            unknown = UnknownNameError("section", str(key), known)
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
