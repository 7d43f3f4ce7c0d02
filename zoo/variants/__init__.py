"""Variants by name: from a registered name and settings to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import ConfigError
from zoo.model import VariationalAutoencoder
from zoo.precision import float32_by_default
from zoo.registry import registry, resolve
from zoo.settings import merge


def model_class(variant: str) -> type[VariationalAutoencoder]:
    """The class a variant's name stands for.

    Raises UnknownNameError for a name not registered, ConfigError for one that is not a model's.
    """
    path = registry().variant(variant).model
    cls = resolve(path)
    if not (isinstance(cls, type) and issubclass(cls, VariationalAutoencoder)):
        raise ConfigError(f"variant {variant!r}: {path} is not a VariationalAutoencoder class")
    return cls


def complete_config(
    variant: str,
    settings: Mapping[str, Any],
    shape: tuple[int, ...],
    likelihood: str,
    tokenizer: str | None = None,
) -> dict[str, Any]:
    """``settings`` with what the data decides filled in and every default spelt out.

    A likelihood the settings name wins over the data's. Raises ConfigError when they do not fit.
    """
    schema = model_class(variant).Config
    if tokenizer is not None and "tokenizer" not in schema.model_fields:
        readers = [
            v for v in registry().variants if "tokenizer" in model_class(v).Config.model_fields
        ]
        raise ConfigError(f"{variant!r} reads images, not text; train {' or '.join(readers)}")
    asked = settings.get("input_shape", shape)
    if not isinstance(asked, Sequence) or tuple(asked) != tuple(shape):
        raise ConfigError(
            f"model {variant!r}: the data's examples are {tuple(shape)}, 'input_shape' says "
            f"{asked!r}; leave it out: the data decides"
        )
    from_data = {"likelihood": likelihood} if "likelihood" in schema.model_fields else {}
    if tokenizer is not None:
        from_data["tokenizer"] = tokenizer
    given = merge(from_data, {**settings, "input_shape": shape})
    return schema.parse(given, f"model {variant!r}").model_dump(mode="json")


def build(variant: str, config: Mapping[str, Any]) -> VariationalAutoencoder:
    """A freshly initialised model from a complete configuration."""
    cls = model_class(variant)
    settings = cls.Config.parse(config, f"model {variant!r}")
    with float32_by_default():
        model = cls(settings)
    model.variant = variant
    return model
