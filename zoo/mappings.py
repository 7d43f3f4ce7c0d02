"""Nested mappings, as settings are before they are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """What differs between two nested mappings, by dotted key: the values before and after."""
    old, new = flatten(before), flatten(after)
    pairs = {key: (old.get(key), new.get(key)) for key in {**old, **new}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def flatten(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys.

    >>> flatten({"a": {"b": 1, "c": [2]}, "d": None})
    {'a.b': 1, 'a.c': [2], 'd': None}
    """
    if not isinstance(settings, Mapping):
        return {prefix: settings}
    parts = [flatten(v, f"{prefix}.{k}" if prefix else str(k)) for k, v in settings.items()]
    return {key: value for part in parts for key, value in part.items()}


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``overrides``, mappings merged key by key.

    A mapping that names another kind (``name``) replaces the old one: their keys differ. A bare
    name stands for the kind's defaults.

    >>> merge({"a": {"name": "x", "k": 1}}, {"a": {"k": 2}})
    {'a': {'name': 'x', 'k': 2}}
    >>> merge({"a": {"name": "x", "k": 1}}, {"a": {"name": "y"}})
    {'a': {'name': 'y'}}
    """
    if "name" in overrides and overrides["name"] != base.get("name"):
        return dict(overrides)
    merged = dict(base)
    for key, value in overrides.items():
        old = merged.get(key)
        old = {"name": old} if isinstance(old, str) and isinstance(value, Mapping) else old
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged
