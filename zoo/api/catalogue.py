"""What the zoo holds, by name. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from zoo.errors import ConfigError, UnknownNameError, did_you_mean
from zoo.registry import Spec, registry
from zoo.registry.specs import singular

Part = Literal["posteriors", "priors", "likelihoods", "backbones", "objectives", "modalities"]
Kind = Literal["variants", Part, "datasets", "benchmarks", "checkpoints"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_PRECEDENCE: tuple[Kind, ...] = (
    "checkpoints", "variants", "datasets", "benchmarks", *get_args(Part)
)  # fmt: skip


def list_variants(pattern: str = "*") -> list[str]:
    """Names of the variants that match a shell pattern, sorted.

    >>> list_variants("*gaussian*")
    ['gaussian-vae']
    """
    return names_of("variants", pattern)


def list_datasets(pattern: str = "*") -> list[str]:
    """Names of the datasets that match a shell pattern, sorted."""
    return names_of("datasets", pattern)


def list_benchmarks(pattern: str = "*") -> list[str]:
    """Names of the benchmarks that match a shell pattern, sorted."""
    return names_of("benchmarks", pattern)


def list_checkpoints(
    pattern: str = "*", *, dataset: str | None = None, variant: str | None = None
) -> list[str]:
    """Names of the released checkpoints that match a shell pattern, sorted.

    Of one ``dataset`` or one ``variant`` alone where they are named, exactly: ``"*mnist*"`` also
    matches what was trained on Fashion-MNIST. Raises UnknownNameError for a name of neither.

    >>> list_checkpoints("vmf-*", dataset="mnist")
    ['vmf-vae-fixed-mnist', 'vmf-vae-mnist']
    """
    known = registry()
    chosen = known.checkpoints
    if dataset is not None:
        known.dataset(dataset)
        chosen = {name: spec for name, spec in chosen.items() if spec.dataset == dataset}
    if variant is not None:
        known.variant(variant)
        chosen = {name: spec for name, spec in chosen.items() if spec.variant == variant}
    return _matching(chosen, pattern)


def names_of(kind: Kind, pattern: str = "*") -> list[str]:
    """Names of one kind that match a shell pattern, sorted.

    >>> names_of("priors")
    ['standard-normal', 'uniform-sphere']
    """
    return _matching(_section(kind), pattern)


def info(name: str, kind: Kind | None = None) -> Spec:
    """All that is registered under a name: of a checkpoint, variant, dataset, benchmark or part.

    Looked for in that order, or as the one ``kind`` that is named, as a benchmark must be that
    is called like its dataset; :func:`kinds_of` says which there are.

    Raises UnknownNameError with the nearest name, ConfigError for an unknown kind.

    >>> info("gaussian-vae").paper
    'arXiv:1312.6114'
    >>> info("digits", kind="benchmarks").samples
    1000
    """
    if kind is not None:
        return _look_up(_section(kind), singular(kind), name)
    for each in kinds_of(name):
        return _look_up(_section(each), each, name)
    raise UnknownNameError("name", name, {name for each in KINDS for name in _section(each)})


def kinds_of(name: str) -> list[Kind]:
    """The kinds of things that are registered under a name, the one :func:`info` shows first.

    >>> kinds_of("digits")
    ['datasets', 'benchmarks']
    """
    return [kind for kind in _PRECEDENCE if name in _section(kind)]


def _section(kind: Kind) -> Mapping[str, Any]:
    if kind not in KINDS:
        raise ConfigError(
            f"unknown kind {kind!r}{did_you_mean(str(kind), KINDS)} Known: {', '.join(KINDS)}."
        )
    section: Mapping[str, Any] = getattr(registry(), kind)
    return section


def _look_up(section: Mapping[str, Spec], kind: str, name: str) -> Spec:
    if name not in section:
        raise UnknownNameError(kind, name, section)
    return section[name]


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    return sorted(name for name in names if fnmatchcase(name, pattern))
