"""Which of several runs differ in their seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.api.source import Opened, told_apart
from zoo.errors import ConfigError
from zoo.mappings import differences
from zoo.metrics.seeds import Group
from zoo.training.run import RunDirectory
from zoo.variants import Variant

SEED = "train.seed"


def groups_of_seeds(entries: Sequence[Opened]) -> list[Group]:
    """Runs by all their settings but the seed, in their order; what is no run stands by itself.

    Raises ConfigError where no two runs differ in their seed alone, saying in what else they do,
    and for two of one seed, whose deviation would say nothing.
    """
    settings = [_settings(entry.path) for entry in entries]
    groups: list[list[int]] = []
    for place, own in enumerate(settings):
        alike = (each for each in groups if own and _but_seed(settings[each[0]]) == _but_seed(own))
        group = next(alike, None)
        if group is None:
            groups.append([place])
            continue
        for other in group:
            if settings[other] == own:
                raise ConfigError(
                    f"{entries[other].name!r} and {entries[place].name!r} have the same seed, "
                    f"{own and own[SEED]}; give each run once, and runs of other seeds"
                )
        group.append(place)
    if all(len(group) == 1 for group in groups):
        raise ConfigError(_why_none(entries, settings))
    names = (_name(entries, group) for group in groups)
    return [Group(name, group) for name, group in zip(told_apart(list(names)), groups, strict=True)]


def _settings(path: Path | None) -> dict[str, Any] | None:
    """All that determines a run's result; None for what is no run."""
    if path is None or not (run := RunDirectory(path.parent)).config.is_file():
        return None
    return run.read_config().identity


def _but_seed(settings: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (settings or {}).items() if key != SEED}


def _name(entries: Sequence[Opened], group: Sequence[int]) -> str:
    first = entries[group[0]]
    if len(group) == 1 or first.metadata is None:
        return first.name
    variant = Variant.find(first.metadata.variant).described(first.config)
    return f"{variant} ({len(group)} seeds)"


def _why_none(entries: Sequence[Opened], settings: Sequence[dict[str, Any] | None]) -> str:
    known = [(entry.name, own) for entry, own in zip(entries, settings, strict=True) if own]
    if len(known) < 2:
        return (
            "seeds are averaged over runs, and fewer than two are given: name the folders of "
            "trainings that differ in their seed alone (--seed)"
        )
    (name, first), (other, second), *_ = known
    changed = differences(_but_seed(first), _but_seed(second))
    listing = ", ".join(f"{key} ({a!r} and {b!r})" for key, (a, b) in changed.items())
    return (
        f"no two runs differ in their seed alone, so there is nothing to average: {name!r} and "
        f"{other!r} differ in {listing:.300}"
    )
