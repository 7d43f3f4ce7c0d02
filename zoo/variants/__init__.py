"""Variants by name: from a registered name and settings to a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.model import VariationalAutoencoder
from zoo.registry import registry, resolve


def model_class(variant: str) -> type[VariationalAutoencoder]:
    """The class a variant's name stands for; UnknownNameError for a name not registered."""
    cls: type[VariationalAutoencoder] = resolve(registry().variant(variant).model)
    return cls


def complete_config(
    variant: str, settings: Mapping[str, Any], shape: tuple[int, ...], likelihood: str
) -> dict[str, Any]:
    """``settings`` with what the data decides filled in and every default spelt out.

    A likelihood the settings name wins over the data's. Raises ConfigError when they do not fit.
    """
    schema = model_class(variant).Config
    given = {**settings, "input_shape": shape}
    if "likelihood" in schema.model_fields:
        given.setdefault("likelihood", likelihood)
    return schema.parse(given, f"model {variant!r}").model_dump(mode="json")


def build(variant: str, config: Mapping[str, Any]) -> VariationalAutoencoder:
    """A freshly initialised model from a complete configuration."""
    cls = model_class(variant)
    return cls(cls.Config.parse(config, f"model {variant!r}"))
