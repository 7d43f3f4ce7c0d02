"""Components of installed plug-ins."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, EntryPoints, distributions, entry_points
from typing import Any, NamedTuple

from zoo.errors import ConfigError
from zoo.registry.sections import BARE_FILE_NAME, COMPONENTS, IMPORT_PATH, singular


class Installed(NamedTuple):
    """What entry points name: entries by section and name, and what of them is malformed."""

    entries: dict[tuple[str, str], dict[str, Any]]
    broken: tuple[str, ...]


def installed() -> Installed:
    """Classes with an entry point in a group ``zoo.SECTION``: its value is the import path.

    A malformed one is left out and named where a name is not found, so that it spoils nothing else.
    Raises ConfigError for a name that two plug-ins give.
    """
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    broken = []
    known_points, unread = _known_points()
    broken += unread
    for section in COMPONENTS:
        for point in known_points.select(group=f"zoo.{section}"):
            origin = point.dist.name if point.dist else "an installed plug-in"
            if not _is_sound(point):
                broken.append(
                    f"The entry point {point.name!r} of {origin} in zoo.{section} is malformed "
                    f"({point.value!r}; write package.module:Class)."
                )
                continue
            entry = {"component": _import_path(point), "summary": f"from {origin}"}
            known = entries.setdefault((section, point.name), entry)
            if known["component"] != entry["component"]:
                raise ConfigError(
                    f"two plug-ins define the {singular(section)} {point.name!r}; uninstall one"
                )
    return Installed(entries, tuple(broken))


def _known_points() -> tuple[Any, list[str]]:
    """Every installed entry point, read once, and which distributions' could not be read."""
    try:
        return entry_points(), []
    except (TypeError, ValueError):  # of one distribution, which importlib does not name
        points: list[EntryPoint] = []
        broken: list[str] = []
        for distribution in distributions():
            try:
                points += distribution.entry_points
            except (TypeError, ValueError) as error:
                name = distribution.metadata["Name"]
                broken.append(f"The entry points of {name} cannot be read ({error}).")
        return EntryPoints(points), broken


def _is_sound(point: EntryPoint) -> bool:
    path, name = _import_path(point), point.name
    return bool(re.fullmatch(IMPORT_PATH, path) and re.fullmatch(BARE_FILE_NAME, name))


def _import_path(point: EntryPoint) -> str:
    """``module:Class`` of ``module : Class [extra]``."""
    return point.value.partition("[")[0].replace(" ", "")
