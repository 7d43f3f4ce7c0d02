"""What the zoo holds, by name. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError, UnknownNameError, did_you_mean
from zoo.registry import SECTIONS, entries, registry

if TYPE_CHECKING:
    from zoo.registry import Spec

KINDS = SECTIONS
"""The sections of the registry, in the order in which a name is looked for in them."""


def list_names(kind: str, pattern: str = "*") -> list[str]:
    """Names of one kind that match a shell pattern, sorted: posteriors, objectives, datasets, ...

    Raises ConfigError, which lists the kinds, for one there is not.

    >>> list_names("posteriors", "vmf*")
    ['vmf', 'vmf-fixed', 'vmf-product']
    """
    return _matching(_section(kind), pattern)


def list_variants(pattern: str = "*") -> list[str]:
    """Names of the variants that match a shell pattern, sorted.

    >>> list_variants("*gaussian*")
    ['gaussian-vae']
    """
    return _matching(entries()["variants"], pattern)


def list_datasets(pattern: str = "*") -> list[str]:
    """Names of the datasets that match a shell pattern, sorted."""
    return _matching(entries()["datasets"], pattern)


def list_benchmarks(pattern: str = "*") -> list[str]:
    """Names of the benchmarks that match a shell pattern, sorted."""
    return _matching(entries()["benchmarks"], pattern)


def list_papers(pattern: str = "*") -> list[str]:
    """Names of the papers that :func:`zoo.reproduce` knows, those that match a pattern, sorted."""
    return _matching(entries()["papers"], pattern)


def list_checkpoints(
    pattern: str = "*", *, dataset: str | None = None, variant: str | None = None
) -> list[str]:
    """Names of the released checkpoints that match a shell pattern, sorted.

    Of one ``dataset`` or one ``variant`` alone where they are named, exactly: ``"*mnist*"`` also
    matches what was trained on Fashion-MNIST. Raises UnknownNameError for a name of neither.

    >>> list_checkpoints("vmf-*", dataset="mnist")
    ['vmf-vae-fixed-mnist', 'vmf-vae-mnist']
    """
    chosen = entries()["checkpoints"]
    if dataset is not None:
        registry().dataset(dataset)
        chosen = {name: entry for name, entry in chosen.items() if entry["dataset"] == dataset}
    if variant is not None:
        registry().variant(variant)
        chosen = {name: entry for name, entry in chosen.items() if entry["variant"] == variant}
    return _matching(chosen, pattern)


def info(name: str, kind: str | None = None) -> Spec:
    """All that is registered under a name: a variant, a posterior, a dataset, a checkpoint, ...

    Of the first kind in the registry's order that has it, or of the one ``kind`` that is named, as
    a benchmark must be that is called like its dataset; :func:`kinds_of` says which there are.

    Raises UnknownNameError with the nearest name, ConfigError for an unknown kind.

    >>> info("gaussian-vae").paper
    'arXiv:1312.6114'
    >>> info("digits", kind="benchmarks").samples
    1000
    """
    kinds = kinds_of(name) if kind is None else [kind]
    if not kinds:
        raise UnknownNameError("name", name, {name for each in KINDS for name in _section(each)})
    _section(kinds[0])
    found: Spec = registry().find(kinds[0], name)
    return found


def kinds_of(name: str) -> list[str]:
    """The kinds of things that are registered under a name, the one :func:`info` shows first.

    >>> kinds_of("digits")
    ['datasets', 'benchmarks']
    """
    return [kind for kind in KINDS if isinstance(name, str) and name in _section(kind)]


def _section(kind: str) -> Mapping[str, Any]:
    """The entries of a kind. Raises ConfigError for an unknown one."""
    if kind not in KINDS:
        raise ConfigError(
            f"unknown kind {kind!r}{did_you_mean(str(kind), KINDS)} Known: {', '.join(KINDS)}."
        )
    return entries()[kind]


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    if not isinstance(pattern, str):
        raise ConfigError(f"a pattern of names must be text such as '*vmf*', got {pattern!r:.100}")
    return sorted(name for name in names if fnmatchcase(name, pattern))
