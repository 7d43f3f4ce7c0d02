"""Names to typed specs: variants, datasets, benchmarks and checkpoints. Never imports torch.

The packaged ``registry.yaml`` is read first, then what plugins add, three ways: the files named in
``ZOO_REGISTRY`` (separated as in ``PATH``; :func:`use_registry` adds one), installed distributions
with an entry point in the group ``zoo.variants``, and classes decorated with :func:`register`. A
name may be given only once.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, field_validator

from zoo.errors import ConfigError, UnknownNameError, ZooError
from zoo.settings import Settings, merge
from zoo.yaml_files import read_mapping

T = TypeVar("T", bound=type)
SpecT = TypeVar("SpecT")

BARE_FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
IMPORT_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


class VariantSpec(Settings):
    """An architecture with its defaults; ``model`` is an import path, resolved on use."""

    model: str = Field(pattern=IMPORT_PATH)
    summary: str
    paper: str | None = None
    config: dict[str, Any] = {}
    objective: dict[str, Any] = {"name": "elbo"}
    training: dict[str, Any] = {}

    @field_validator("objective")
    @classmethod
    def _is_named(cls, objective: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(objective.get("name"), str):
            raise ValueError("say which objective, for example {name: elbo}")
        return objective


class DatasetSpec(Settings):
    """A dataset known by name; ``loader`` is an import path, resolved on use."""

    loader: str = Field(pattern=IMPORT_PATH)
    summary: str
    license: str
    shape: tuple[int, int, int] | None = None
    """Of an image; a sentence has the width of the longest."""
    likelihood: str
    validation: int = Field(ge=1)
    options: dict[str, str] = {}


class BenchmarkSpec(Settings):
    """A fixed way to compare models: which examples, how many importance samples, which seed."""

    summary: str
    dataset: str
    split: Literal["train", "validation", "test"] = "test"
    samples: int = Field(1000, ge=1)
    examples: int | None = Field(None, ge=1)
    seed: int = 0


class MetricSpec(Settings):
    """A recorded figure in nats per example (or as the metric's name says) with its error."""

    value: float
    stderr: float | None = None
    samples: int | None = None
    test_set: str | None = None
    note: str | None = None


class RecipeSpec(Settings):
    """How a checkpoint was made, so that it can be made again."""

    command: str
    seed: int
    revision: str
    hardware: str
    duration: str


class CheckpointSpec(Settings):
    """A released checkpoint; its file is identified by size and SHA-256."""

    variant: str
    dataset: str
    summary: str
    file: str = Field(pattern=BARE_FILE_NAME)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1)
    license: str
    data_license: str
    metrics: dict[str, MetricSpec]
    recipe: RecipeSpec
    mirrors: list[str] = []


class Registry(Settings):
    """Everything known by name."""

    variants: dict[str, VariantSpec] = {}
    datasets: dict[str, DatasetSpec] = {}
    benchmarks: dict[str, BenchmarkSpec] = {}
    checkpoints: dict[str, CheckpointSpec] = {}
    mirrors: list[str] = []

    def variant(self, name: str) -> VariantSpec:
        """The variant called ``name``; UnknownNameError with the nearest name otherwise."""
        return _look_up("variant", name, self.variants)

    def dataset(self, name: str) -> DatasetSpec:
        """The dataset called ``name``; UnknownNameError with the nearest name otherwise."""
        return _look_up("dataset", name, self.datasets)

    def benchmark(self, name: str) -> BenchmarkSpec:
        """The benchmark called ``name``; UnknownNameError with the nearest name otherwise."""
        return _look_up("benchmark", name, self.benchmarks)

    def checkpoint(self, name: str) -> CheckpointSpec:
        """The checkpoint called ``name``; UnknownNameError with the nearest name otherwise."""
        return _look_up("checkpoint", name, self.checkpoints)


def _look_up(kind: str, name: str, specs: Mapping[str, SpecT]) -> SpecT:
    if name not in specs:
        raise UnknownNameError(kind, name, specs)
    return specs[name]


def packaged_root() -> Path:
    """The folder that holds registry.yaml and checkpoints/: in a wheel, or the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent


def registry() -> Registry:
    """The registry of this process: the packaged file and all plugins, read once."""
    return _read_all(os.environ.get("ZOO_REGISTRY", ""), len(_registered))


def use_registry(path: str | Path) -> None:
    """Know the names of one more registry file, in this process and those it starts.

    It is what adding the file to ZOO_REGISTRY does, checked at once. A file in use is not read
    again. Raises ConfigError for a file that cannot be read, is wrong or gives a name a second
    time; the registry then stays as it was.

    >>> use_registry("no-such-file.yaml")
    Traceback (most recent call last):
    zoo.errors.ConfigError: ...no-such-file.yaml: cannot read the registry: No such file...
    """
    try:
        file = str(Path(path).expanduser().absolute())
    except RuntimeError as error:  # "~name" of a user there is not
        raise ConfigError(f"{path}: cannot read the registry: {error}") from error
    if os.pathsep in file:
        raise ConfigError(f"{file}: a registry file's path may not hold {os.pathsep!r}; rename it")
    files = [part for part in os.environ.get("ZOO_REGISTRY", "").split(os.pathsep) if part]
    if file not in files:
        joined = os.pathsep.join([*files, file])
        _read_all(joined, len(_registered))
        os.environ["ZOO_REGISTRY"] = joined


@lru_cache(maxsize=8)
def _read_all(extra_files: str, registered: int) -> Registry:
    paths = [packaged_root() / "registry.yaml"]
    paths += [Path(part) for part in extra_files.split(os.pathsep) if part]
    plugins = {**_entry_point_variants(), **dict(list(_registered.items())[:registered])}
    return read_registry(paths, plugins)


def read_registry(
    paths: list[Path], plugins: Mapping[str, Mapping[str, Any]] | None = None
) -> Registry:
    """Merge registry files and plugin variants; errors name the file and the place in it.

    Raises ConfigError for unknown keys, wrong types, unknown parents, cycles, names given twice
    and references (a benchmark's dataset, a checkpoint's variant) to names that do not exist.
    """
    merged: dict[str, dict[str, Any]] = {}
    origin: dict[tuple[str, str], str] = {}
    mirrors: list[str] = []
    sources = [(str(path), read_mapping(path)) for path in paths]
    sources += [(f"plugin {name!r}", {"variants": {name: raw}}) for name, raw in
                (plugins or {}).items()]  # fmt: skip
    for where, content in sources:
        _refuse_unknown_sections(content, where)
        mirrors += _mirrors(content, where)
        for section in ("variants", "datasets", "benchmarks", "checkpoints"):
            for name, raw in _section(content, section, where).items():
                if (section, name) in origin:
                    first = origin[section, name]
                    raise ConfigError(
                        f"{where}: {section}.{name} is already defined in {first}; rename one"
                    )
                origin[section, name] = where
                merged.setdefault(section, {})[name] = raw
    return _build(merged, origin, mirrors)


def _build(
    merged: dict[str, dict[str, Any]], origin: dict[tuple[str, str], str], mirrors: list[str]
) -> Registry:
    variants = merged.get("variants", {})
    merged["variants"] = {
        name: _inherit(name, variants, origin["variants", name]) for name in variants
    }
    built = Registry(
        mirrors=mirrors,
        variants=_parse_section(VariantSpec, "variants", merged, origin),
        datasets=_parse_section(DatasetSpec, "datasets", merged, origin),
        benchmarks=_parse_section(BenchmarkSpec, "benchmarks", merged, origin),
        checkpoints=_parse_section(CheckpointSpec, "checkpoints", merged, origin),
    )
    _check_references(built, origin)
    return built


def _parse_section(
    schema: type[Any],
    section: str,
    merged: dict[str, dict[str, Any]],
    origin: dict[tuple[str, str], str],
) -> dict[str, Any]:
    return {
        name: schema.parse(raw, f"{origin[section, name]}: {section}.{name}")
        for name, raw in merged.get(section, {}).items()
    }


def _check_references(built: Registry, origin: dict[tuple[str, str], str]) -> None:
    for section in ("benchmarks", "checkpoints"):
        for name, spec in getattr(built, section).items():
            where = f"{origin[section, name]}: {section}.{name}"
            try:
                built.dataset(spec.dataset)
                if isinstance(spec, CheckpointSpec):
                    built.variant(spec.variant)
            except UnknownNameError as error:
                raise ConfigError(f"{where}: {error}") from error


def _inherit(name: str, variants: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Follow ``extends`` to the root. ``config`` and ``training`` merge as overrides do.

    An objective is taken whole: the parameters of one do not fit another.
    """
    chain = [name]
    while (parent := variants[chain[-1]].get("extends")) is not None:
        place = f"{where}: variants.{chain[-1]}.extends"
        if parent in chain:
            raise ConfigError(f"{place}: cycle {' -> '.join([*chain, parent])}")
        if not isinstance(parent, str) or parent not in variants:
            raise ConfigError(f"{place}: {UnknownNameError('variant', str(parent), variants)}")
        chain.append(parent)
    result: dict[str, Any] = {}
    for ancestor in reversed(chain):
        for key, value in variants[ancestor].items():
            inherited = result.get(key)
            both = isinstance(inherited, dict) and isinstance(value, dict)
            merges = both and key in ("config", "training")
            result[key] = merge(inherited, value) if merges else value  # type: ignore[arg-type]
    result.pop("extends", None)
    return result


def _refuse_unknown_sections(content: Mapping[str, Any], where: str) -> None:
    for key in content:
        if key not in Registry.model_fields:
            unknown = UnknownNameError("section", str(key), Registry.model_fields)
            raise ConfigError(f"{where}: {unknown}")


def _mirrors(content: Mapping[str, Any], where: str) -> list[str]:
    mirrors = content.get("mirrors") or []
    if not isinstance(mirrors, list) or not all(isinstance(url, str) for url in mirrors):
        raise ConfigError(f"{where}: mirrors: expected a list of addresses, got {mirrors!r}")
    return mirrors


def _check_name(name: object, where: str) -> None:
    """A name is also part of file names and of a checkpoint's description."""
    if not isinstance(name, str) or not re.fullmatch(BARE_FILE_NAME, name):
        raise ConfigError(
            f"{where}: {name!r} is no name: use letters, digits, '.', '_' and '-', starting with "
            f"a letter or digit; in quotes where YAML reads something else, as in 1 or yes"
        )


def _section(content: Mapping[str, Any], section: str, where: str) -> dict[str, Any]:
    entries = content.get(section) or {}
    if not isinstance(entries, dict):
        raise ConfigError(f"{where}: {section}: expected a mapping from names to entries")
    for name, raw in entries.items():
        _check_name(name, f"{where}: {section}")
        if not isinstance(raw, dict):
            raise ConfigError(f"{where}: {section}.{name}: expected a mapping, got {raw!r}")
    return entries


def resolve(path: str) -> Any:
    """The object an import path of the registry stands for.

    >>> resolve("zoo.errors:ZooError").__name__
    'ZooError'
    """
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ZooError(f"the registry's import path {path!r} does not resolve: {error}") from error


_registered: dict[str, dict[str, Any]] = {}


def register(
    name: str,
    *,
    summary: str | None = None,
    config: Mapping[str, Any] | None = None,
    objective: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> Callable[[T], T]:
    """Class decorator: make a model of your own known by ``name`` in this process.

    The class then works wherever a variant's name does (create, train, evaluate, load). It must
    be defined at the top level of a module, so that its import path can find it.

    Raises ConfigError when the name is already taken by another class, or for a class or settings
    that cannot be registered.
    """

    def decorate(cls: T) -> T:
        where = f"register({name!r})"
        _check_name(name, where)
        if "." in cls.__qualname__:
            raise ConfigError(f"{where}: define {cls.__qualname__} at the top level of a module")
        raw = {
            "model": f"{cls.__module__}:{cls.__qualname__}",
            "summary": summary or ((cls.__doc__ or "").strip() or name).splitlines()[0],
            "config": dict(config or {}),
            "objective": dict(objective or {"name": "elbo"}),
            "training": dict(training or {}),
        }
        VariantSpec.parse(raw, where)  # now: later it would spoil every use of the registry
        same = {**_entry_point_variants(), **_registered}.get(name, {}).get("model") == raw["model"]
        if name in registry().variants and not same:
            raise ConfigError(f"the variant name {name!r} is already taken; choose another")
        _registered[name] = raw
        _read_all.cache_clear()
        return cls

    return decorate


def _entry_point_variants() -> dict[str, dict[str, Any]]:
    """Variants of installed plugins: the entry point's value is the class's import path."""
    found: dict[str, dict[str, Any]] = {}
    for point in entry_points(group="zoo.variants"):
        origin = point.dist.name if point.dist else "an installed plugin"
        model = f"{point.module}:{point.attr}"
        if point.name in found and found[point.name]["model"] != model:
            raise ConfigError(f"two plugins define the variant {point.name!r}; uninstall one")
        found[point.name] = {"model": model, "summary": f"from {origin}"}
    return found
