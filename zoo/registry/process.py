"""The registry of this process."""

from __future__ import annotations

import importlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError, ZooError
from zoo.registry.entry_points import installed
from zoo.registry.reading import Entries, Merged, merge_entries
from zoo.yaml_files import read_mapping

if TYPE_CHECKING:
    from zoo.registry.specs import Registry

registered: list[tuple[str, str, dict[str, Any]]] = []
"""What decorators have added in this process: section, name and entry."""


def packaged_root() -> Path:
    """The folder that holds registry.yaml and checkpoints/: in a wheel, or the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent


def registry() -> Registry:
    """The registry of this process: the packaged file and all plug-ins, read once."""
    return read_all(*_additions())


def entries() -> Entries:
    """The entries of this process by section and name, as they are written: for listings.

    What files and plug-ins have added is checked. The packaged file is tested, and to check it
    again would import the library of the schemas, which takes longer than all the rest of a list.
    """
    merged = _merge_all(*_additions())
    if set(merged.origin.values()) != {str(_packaged_file())}:
        registry()
    return merged.entries


def use_registry(path: str | Path) -> None:
    """Know the names of one more registry file, in this process and those it starts.

    It is what adding the file to ZOO_REGISTRY does, checked at once. A file in use is not read
    again. Raises ConfigError for a file that cannot be read, is wrong or gives a name a second
    time; the registry then stays as it was.

    >>> use_registry("no-such-file.yaml")
    Traceback (most recent call last):
    zoo.errors.ConfigError: ...no-such-file.yaml: cannot read the registry: No such file...
    """
    try:
        file = str(Path(path).expanduser().absolute())
    except (RuntimeError, TypeError) as error:  # RuntimeError: "~name" of a user there is not
        raise ConfigError(f"{path}: cannot read the registry: {error}") from error
    if os.pathsep in file:
        raise ConfigError(f"{file}: a registry file's path may not hold {os.pathsep!r}; rename it")
    files = [part for part in os.environ.get("ZOO_REGISTRY", "").split(os.pathsep) if part]
    if file not in files:
        joined = os.pathsep.join([*files, file])
        read_all(joined, len(registered))
        os.environ["ZOO_REGISTRY"] = joined


@lru_cache(maxsize=8)
def read_all(extra_files: str, count: int) -> Registry:
    """The packaged file, ``extra_files``, installed plug-ins and the first ``count`` decorated."""
    from zoo.registry.checking import checked

    return checked(_merge_all(extra_files, count))


@lru_cache(maxsize=8)
def _merge_all(extra_files: str, count: int) -> Merged:
    packaged = _packaged_file()
    sources = [(str(packaged), read_mapping(packaged, from_strangers=False))]
    sources += [(part, read_mapping(Path(part))) for part in extra_files.split(os.pathsep) if part]
    found = installed()
    decorated = {(section, name): raw for section, name, raw in registered[:count]}
    sources += [
        (f"plug-in {name!r}", {section: {name: raw}})
        for (section, name), raw in {**found.entries, **decorated}.items()
    ]
    return merge_entries(sources, found.broken)


def forget() -> None:
    """Read everything again when it is next asked for."""
    read_all.cache_clear()
    _merge_all.cache_clear()


def _packaged_file() -> Path:
    return packaged_root() / "registry.yaml"


def _additions() -> tuple[str, int]:
    """The registry files named beside the packaged one, and how many decorators have run."""
    return os.environ.get("ZOO_REGISTRY", ""), len(registered)


def resolve(path: str) -> Any:
    """The object an import path of the registry stands for.

    >>> resolve("zoo.errors:ZooError").__name__
    'ZooError'
    """
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ZooError(f"the registry's import path {path!r} does not resolve: {error}") from error
