"""Registry files as mappings, with errors that name the file."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from zoo.errors import ConfigError

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, if built


class _UniqueKeyLoader(_SafeLoader):  # type: ignore[misc]
    """YAML whose mappings may not give a key twice (the last would silently win)."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"line {line}: a key must be a word, not a list or a mapping")
        if key.value in seen:
            raise ConfigError(f"line {line}: {key.value!r} is given twice")
        seen.add(key.value)
    mapping: dict[Hashable, Any] = loader.construct_mapping(node, deep=True)
    return mapping


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a registry file.

    Raises ConfigError naming the file, and the line where it can, for a file that cannot be read,
    is not YAML, gives a key twice or holds something else.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8")
        content = yaml.load(text, _UniqueKeyLoader)
    except (OSError, RuntimeError) as error:  # RuntimeError: "~name" of a user there is not
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot read the registry: {reason}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: a registry is a text file in UTF-8: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(content).__name__}")
    return content
