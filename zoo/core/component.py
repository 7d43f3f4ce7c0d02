"""Parts known by name: how a configuration names one, and how it is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar, get_args

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import core_schema

from zoo.errors import ConfigError, ZooError
from zoo.mappings import merge
from zoo.registry import registry, resolve
from zoo.settings import Settings


class Component:
    """A part of a model or of a training that the registry knows by name.

    Its base class says which ``section`` of the registry it belongs to; its settings are the
    schema ``Config`` nested in the class.
    """

    section: ClassVar[str]
    Config: ClassVar[type[Settings]] = Settings
    small: ClassVar[Mapping[str, Any]] = {}
    """Settings of its own that make it small, for :mod:`zoo.testing`."""


C = TypeVar("C", bound=Component)


def component_class(section: str, name: str) -> type[Any]:
    """The class that a name stands for in a section of the registry.

    Raises UnknownNameError for a name not registered, ConfigError for one of another section and
    for a class that lacks what its base class leaves to it.
    """
    path = registry().find(section, name).component
    cls = resolve(path)
    if getattr(cls, "section", None) != section:
        raise ConfigError(
            f"{section}.{name}: {path} is no class of that section; subclass its base class, as "
            f"the registered ones do"
        )
    if missing := sorted([*getattr(cls, "__abstractmethods__", ()), *_unset(cls)]):
        raise ConfigError(
            f"{section}.{name}: {cls.__name__} does not say {', '.join(map(repr, missing))}, which "
            "its base class leaves to it; define it in the class, as the registered ones do"
        )
    if not issubclass(cls.Config, Settings):
        raise ConfigError(
            f"{section}.{name}: {cls.__name__}.Config holds no settings; subclass "
            "zoo.settings.Settings"
        )
    return cls  # type: ignore[no-any-return]


def _unset(cls: type) -> set[str]:
    """The attributes that a class's bases declare for it, as ClassVar, and that nothing sets."""
    return {name for name in _declared(cls) if not hasattr(cls, name)}


@cache
def _declared(cls: type) -> frozenset[str]:
    return frozenset(
        name
        for base in cls.__mro__
        for name, kind in inspect.get_annotations(base).items()
        if str(kind).removeprefix("typing.").startswith("ClassVar")
    )


def options_of(section: str, chosen: Any) -> list[str]:
    """The settings of a component as a configuration names it; none of one that is not known."""
    name = str(chosen.get("name") if isinstance(chosen, Mapping) else chosen)
    if name not in registry().names(section):
        return []  # said where the configuration is made
    return list(component_class(section, name).Config.model_fields)


def having(option: str, section: str) -> list[str]:
    """The names in a section whose components have a setting.

    >>> having("concentration", "posteriors")
    ['vmf-fixed']
    """
    return [name for name, options in options_by_name(section).items() if option in options]


def options_by_name(section: str) -> dict[str, list[str]]:
    """The settings of every component of a section, broken plug-ins left out."""
    found = {}
    for name in registry().names(section):
        with suppress(ZooError):
            found[name] = options_of(section, name)
    return found


class Selected(Generic[C]):
    """A component chosen by name, with its settings: what a configuration holds.

    In a file it is ``{name: gaussian, scale: 0.1}``, or the bare name where its settings are the
    registered ones.
    """

    def __init__(self, name: str, component: type[C], config: Settings) -> None:
        self.name, self.component, self.config = name, component, config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selected) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"Selected({self.dump()})"

    @property
    def _identity(self) -> tuple[str, type[C], Settings]:
        return self.name, self.component, self.config

    @classmethod
    def parse(cls, section: str, given: Any) -> Selected[Any]:
        """From what a configuration says. Raises ConfigError, naming the nearest setting."""
        if isinstance(given, Selected):
            return given
        settings = {"name": given} if isinstance(given, str) else given
        if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
            known = ", ".join(sorted(registry().names(section)))
            raise ConfigError(f"name one of {section}, {known}, got {given!r:.200}")
        name = settings["name"]
        component = component_class(section, name)
        own = {key: value for key, value in settings.items() if key != "name"}
        for option in own.keys() - component.Config.model_fields.keys():
            if owners := having(option, section):
                raise ConfigError(
                    f"{section}.{name}: unknown key {option!r}; {owners[0]!r} has it; choose that "
                    "by its name, or leave the key out"
                )
        defaults = registry().find(section, name).config
        config = component.Config.parse(merge(defaults, own), f"{section}.{name}")
        return cls(name, component, config)

    def dump(self, mode: str = "json") -> dict[str, Any]:
        """As a file has it, every default spelt out."""
        return {"name": self.name, **self.config.model_dump(mode=mode)}

    def build(self, *parts: Any) -> C:
        """The component, of its settings and of what the base class says it is made of."""
        return self.component(self.config, *parts)  # type: ignore[call-arg]

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        section = get_args(source)[0].section
        return core_schema.no_info_plain_validator_function(
            lambda given: cls.parse(section, given),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda chosen, info: chosen.dump(info.mode), info_arg=True
            ),
        )


def default(name: str) -> Any:
    """The default of a field that selects a component; resolved where a configuration is made."""
    return Field(default=name, validate_default=True)
