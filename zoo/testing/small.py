"""Small versions of variants, which are checked in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from zoo.core.component import Component, Selected
from zoo.mappings import merge

SMALL: dict[str, tuple[Any, ...]] = {
    "latent_dim": (3,),
    "hidden": (24, [16]),
    "width": (16,),
    "heads": (2,),
    "layers": (3,),
    "groups": (2,),
    "scales": (
        [
            {"channels": 6, "cells": 1, "groups": 2, "latents": 2},
            {"channels": 4, "cells": 1, "groups": 1, "latents": 1},
        ],
    ),
    "stem": ([{"channels": 4, "cells": 1}],),
    "encoder_channels": ([4, 4],),
    "encoder_blocks": ([0, 1],),
    "decoder_channels": ([4, 4],),
    "decoder_blocks": ([1, 0],),
    "components": (3,),
}
"""By the name of a setting, what it is in a small version: the first that the setting can be."""


def small_settings(component: type[Component], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that make a component small, and those within it, which ``given`` ones choose.

    A class may say more of its own small version in ``small``.
    """
    settings: dict[str, Any] = dict(_own_sizes(component.Config))
    for name, field in component.Config.model_fields.items():
        if get_origin(field.annotation) is Selected:
            settings[name] = _small_part(get_args(field.annotation)[0].section, field, given, name)
    return merge({name: v for name, v in settings.items() if v is not None}, component.small)


def _small_part(
    section: str, field: FieldInfo, given: Mapping[str, Any], name: str
) -> dict[str, Any] | None:
    """Of a component within: which it is, and its own small settings."""
    chosen = given.get(name, field.default)
    if chosen is None:
        return None
    part = Selected.parse(section, chosen)
    return {"name": part.name, **small_settings(part.component, part.dump())}


@cache
def _own_sizes(config: type[BaseModel]) -> dict[str, Any]:
    """Of the settings that choose no component; to try a value out takes pydantic long."""
    fields = {
        n: f for n, f in config.model_fields.items() if get_origin(f.annotation) is not Selected
    }
    found = {name: _first_valid(name, field) for name, field in fields.items()}
    return {name: value for name, value in found.items() if value is not None}


def _first_valid(name: str, field: FieldInfo) -> Any:
    for value in SMALL.get(name, ()):
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
            adapter.validate_python(value)
        except ValidationError:
            continue
        return value
    return None
