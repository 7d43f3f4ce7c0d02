"""Components of one's own, by decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from zoo.errors import ConfigError
from zoo.registry.entry_points import installed
from zoo.registry.process import forget, registered, registry
from zoo.registry.reading import check_name
from zoo.registry.sections import COMPONENTS, singular

T = TypeVar("T", bound=type)


def register(
    name: str,
    *,
    summary: str | None = None,
    config: Mapping[str, Any] | None = None,
    objective: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> Callable[[T], T]:
    """Class decorator: make a component of your own known by ``name`` in this process.

    The class says which kind it is by what it subclasses: a model, a posterior, a prior, a
    likelihood, a backbone, an objective. It then works wherever a registered name does. It must be
    defined at the top level of a module, so that its import path can find it. ``objective`` and
    ``training`` are a variant's defaults.

    Raises ConfigError when the name is already taken by another class, or for a class or settings
    that cannot be registered.
    """

    def decorate(cls: T) -> T:
        where = f"register({name!r})"
        check_name(name, where)
        section = _section_of(cls, where)
        if "." in cls.__qualname__:
            raise ConfigError(f"{where}: define {cls.__qualname__} at the top level of a module")
        raw: dict[str, Any] = {
            "component": f"{cls.__module__}:{cls.__qualname__}",
            "summary": summary or ((cls.__doc__ or "").strip() or name).splitlines()[0],
            "config": dict(config or {}),
        }
        for key, value in (("objective", objective), ("training", training)):
            if value is not None:
                raw[key] = dict(value)
        _check(section, raw, where)  # now: later it would spoil every use of the registry
        if not _is_known(section, name, raw["component"]):
            registered.append((section, name, raw))
            forget()
        return cls

    return decorate


def _check(section: str, raw: Mapping[str, Any], where: str) -> None:
    from zoo.registry.specs import SCHEMAS

    SCHEMAS[section].parse(raw, where)


def _section_of(cls: type, where: str) -> str:
    section = getattr(cls, "section", None)
    if section not in COMPONENTS:
        raise ConfigError(
            f"{where}: {cls.__name__} is no component; subclass zoo.LatentVariableModel, or the "
            f"base class of one of {', '.join(COMPONENTS)}"
        )
    return str(section)


def _is_known(section: str, name: str, path: str) -> bool:
    """Whether a registry file names the same class, as it may for readers other than its script.

    Raises ConfigError where the name is another class's.
    """
    known = registry().names(section)
    if name not in known:
        return False
    own = {(s, n): raw for s, n, raw in registered}
    plugin = {**installed().entries, **own}.get((section, name), {})
    in_file = None if path.startswith("zoo.") else registry().find(section, name).component
    if path not in (plugin.get("component"), in_file):
        raise ConfigError(f"the {singular(section)} name {name!r} is already taken; choose another")
    return not plugin
