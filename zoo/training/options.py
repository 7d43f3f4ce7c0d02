"""Options by their bare names, as in ``zoo.train(..., lr=1e-3, beta=2.0, hidden=[256])``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.core.component import having, options_of
from zoo.errors import ConfigError, did_you_mean
from zoo.mappings import merge
from zoo.training.config import TrainingConfig
from zoo.variants import Variant, owner_hint


def route(overrides: Mapping[str, Any], variant: Variant) -> dict[str, dict[str, Any]]:
    """Sort options into ``model``, ``train`` and ``objective`` by the schema that knows them.

    Raises ConfigError with the nearest option for a name none of them knows.
    """
    chosen = overrides.get("objective", {})
    chosen = dict(chosen) if isinstance(chosen, Mapping) else {"name": chosen}
    objective = str(merge(variant.spec.objective, chosen)["name"])
    known = {
        **{
            name: ".".join(("model", *place[:-1]))
            for name, place in variant.options(overrides).items()
        },
        **dict.fromkeys(options_of("objectives", objective), "objective"),
        **dict.fromkeys(TrainingConfig.model_fields, "train"),
    }
    routed: dict[str, dict[str, Any]] = {"train": {}, "objective": chosen, "model": {}}
    for key, value in overrides.items():
        if key in known:
            routed[known[key].split(".")[0]][key] = value
        elif key != "objective":
            raise _unknown(key, known, variant)
    return routed


def _unknown(key: str, known: Mapping[str, str], variant: Variant) -> ConfigError:
    by_place: dict[str, list[str]] = {}
    for option, place in known.items():
        by_place.setdefault(place, []).append(option)
    listing = "; ".join(f"{place}: {', '.join(names)}" for place, names in by_place.items())
    objectives = having(key, "objectives")
    owner = owner_hint("objective", objectives[0]) if objectives else variant.hint(key)
    hint = f". {owner}" if owner else did_you_mean(key, known)
    return ConfigError(f"unknown option {key!r}{hint} Known: {listing}.")
