"""Typed, immutable settings whose validation errors name the place and the nearest valid key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import Self

from zoo.errors import ConfigError, ZooError, did_you_mean, nearest

LONGEST_SHOWN = 200


class Settings(BaseModel):
    """Base of every schema in zoo: frozen; an unknown key, infinity or NaN is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        defer_build=True,  # of those that a process imports it uses few
    )

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str) -> Self:
        """Validate ``data``; on failure raise a ConfigError that starts with ``where``."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            problems = "; ".join(_describe(cls, detail) for detail in error.errors())
            raise ConfigError(f"{where}: {problems}") from error
        except ZooError as error:  # of a component within these settings
            raise ConfigError(f"{where}: {error}") from error


def _describe(schema: type[BaseModel], detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _keys_beside(schema, detail["loc"])
        name = str(detail["loc"][-1])
        allowed = f" Allowed: {', '.join(known)}." if known else ""
        return f"unknown key {place!r}{did_you_mean(name, known)}{allowed}"
    if detail["type"] == "missing":
        return f"{place!r} is required"
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:  # of all settings together: each is right by itself
        return message
    guess = nearest(*_choice(detail))
    hint = f"; did you mean {guess!r}?" if guess else ""
    return f"{place!r}: {message} (got {shortened(detail['input'])}){hint}"


def shortened(value: Any) -> str:
    """How a message shows a value: a long one, as a tokeniser is, by its beginning."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _choice(detail: ErrorDetails) -> tuple[str, list[str]]:
    """What was given where one of a few words is expected, and these words; else nothing."""
    context = detail.get("ctx", {})
    if detail["type"] != "literal_error":
        return "", []
    return str(detail["input"]), re.findall(r"'([^']*)'", context["expected"])


def _keys_beside(schema: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where ``location`` points, found by walking the nested schemas."""
    schemas = [schema]
    for part in location[:-1]:
        inner = [s.model_fields[part].annotation for s in schemas if part in s.model_fields]
        if inner:  # else the key of a mapping
            schemas = [found for annotation in inner for found in _schemas_in(annotation)]
    return sorted({key for s in schemas for key in s.model_fields})


def _schemas_in(annotation: Any) -> list[type[BaseModel]]:
    if parts := get_args(annotation):  # first: Python 3.10 counts list[int] among the types
        return [found for part in parts for found in _schemas_in(part)]
    is_schema = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return [annotation] if is_schema else []
