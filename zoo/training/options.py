"""Options by their bare names, as ``zoo.train(..., lr=1e-3, beta=2.0, hidden=[256])`` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_origin

from zoo.core.component import Selected, component_class
from zoo.errors import ConfigError, did_you_mean
from zoo.registry import registry
from zoo.settings import merge
from zoo.training.config import TrainingConfig
from zoo.variants import Variant


def route(overrides: Mapping[str, Any], variant: Variant) -> dict[str, dict[str, Any]]:
    """Sort options into ``model``, ``train`` and ``objective`` by the schema that knows them.

    One that only a component of the model knows, as its backbone's ``hidden``, goes to it. Raises
    ConfigError with the nearest option for a name none of them knows.
    """
    objective = str(overrides.get("objective", variant.spec.objective["name"]))
    known = _known(overrides, variant, objective)
    routed: dict[str, dict[str, Any]] = {"train": {}, "objective": {}, "model": {}}
    for key, value in overrides.items():
        if key == "objective":
            routed["objective"]["name"] = value
            continue
        if key not in known:
            raise _unknown(key, known)
        section, *place = known[key]
        settings = {place[0]: {key: value}} if place else {key: value}
        routed[section] = merge(routed[section], settings)
    return routed


def _known(
    overrides: Mapping[str, Any], variant: Variant, objective: str
) -> dict[str, tuple[str, ...]]:
    """Every option's section, and within the model perhaps the component it belongs to."""
    fields = variant.model.Config.model_fields
    settings = {**variant.spec.config, **overrides}
    parts = {
        option: ("model", name)
        for name, field in reversed(fields.items())
        if get_origin(field.annotation) is Selected and settings.get(name) is not None
        for option in _options(field.annotation.__args__[0].section, settings[name])  # type: ignore[union-attr]
    }
    own = {name: ("model",) for name in fields if name != "input_shape"}
    aims = {name: ("objective",) for name in _options("objectives", objective)}
    return {**parts, **own, **aims, **{name: ("train",) for name in TrainingConfig.model_fields}}


def _options(section: str, chosen: Any) -> list[str]:
    """The settings of a component as a configuration names it; none of one that is not known."""
    name = chosen.get("name") if isinstance(chosen, Mapping) else chosen
    if name not in registry().names(section):
        return []  # said where the configuration is made
    return list(component_class(section, name).Config.model_fields)


def _unknown(key: str, known: Mapping[str, tuple[str, ...]]) -> ConfigError:
    by_place: dict[str, list[str]] = {}
    for option, place in known.items():
        by_place.setdefault(".".join(place), []).append(option)
    listing = "; ".join(f"{place}: {', '.join(names)}" for place, names in by_place.items())
    owners = [name for name in registry().objectives if key in _options("objectives", name)]
    hint = f" The objective {owners[0]!r} has it: add objective={owners[0]!r}." if owners else ""
    guess = "." if owners else did_you_mean(key, known)
    return ConfigError(f"unknown option {key!r}{guess}{hint} Known: {listing}.")
