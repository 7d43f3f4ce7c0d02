"""What is measured: a model in any of the forms in which users hold one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

from zoo.api.load import file_of, load
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.data import Dataset, Kept, load_for_model
from zoo.data.conversion import ImageSize
from zoo.devices import existing_device
from zoo.errors import CheckpointError, ConfigError
from zoo.files import sha256
from zoo.storage import checkpoint
from zoo.training.launch import Run
from zoo.variants import Variant

_WRAPPED_AS = ({"_orig_mod"}, {"module"})
"""The only child of what torch.compile returns, and of what DistributedDataParallel is."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A source by the name to show for it: its model is loaded when it is first asked for."""

    name: str
    config: ModelConfig
    load: Callable[[], LatentVariableModel]
    metadata: checkpoint.CheckpointMetadata | None = None
    """What its checkpoint says, where it has one."""
    path: Path | None = None
    """The checkpoint."""

    @cached_property
    def model(self) -> LatentVariableModel:
        """Loaded once, of the bytes that have its ``identity``; raises as :func:`zoo.load` does."""
        before, found = self.identity, self.load()
        if before != self._digest():
            raise CheckpointError(f"{self.path} has changed since it was opened; do it again")
        return found

    @cached_property
    def identity(self) -> str | None:
        """The SHA-256 of its checkpoint."""
        return self._digest()

    def _digest(self) -> str | None:
        try:
            return None if self.path is None else sha256(self.path)
        except OSError as error:
            raise CheckpointError(
                f"{self.path} cannot be read any more: {error.strerror or error}"
            ) from error

    @property
    def variant(self) -> str | None:
        """The variant it is registered as."""
        return None if self.metadata is None else self.metadata.variant

    @property
    def described(self) -> str | None:
        """The variant with what parts of it are not its own, as figures name it."""
        return self.variant and Variant.find(self.variant).described(self.config)

    @property
    def dataset(self) -> str | None:
        """The dataset it was trained on."""
        return None if self.metadata is None else self.metadata.dataset


Source: TypeAlias = nn.Module | Run | str | Path | Opened
"""A model, also a compiled one or one wrapped for distributed training; the result of a training;
the name of a released checkpoint, a file, or a run's folder; or what was opened before."""


def opened(
    source: Source, device: str | torch.device = "cpu", *, name: str | None = None
) -> Opened:
    """What ``source`` means: a model in memory where it is, a checkpoint's on ``device``.

    What was opened before keeps its device, and under another ``name`` is loaded for itself.
    Raises ConfigError for anything else and for a device that is not there, and what
    :func:`zoo.load` raises for a file that describes no model.
    """
    if isinstance(source, Opened):
        return source if name in (None, source.name) else replace(source, name=name)
    place, name = existing_device(device), name or _own_name(source)
    if isinstance(source, nn.Module):
        model = unwrapped(source)
        return Opened(name, model.config, lambda: model)
    path = file_of(source.directory if isinstance(source, Run) else source)
    metadata = checkpoint.read_metadata(path)
    config = checkpoint.resolved(metadata, path)[1]
    if isinstance(source, Run):  # whose model may have changed since its file was written
        return Opened(name, config, lambda: source.model, metadata)
    return Opened(name, config, lambda: load(path, device=place), metadata, path)


def entries_of(
    sources: Sequence[Source] | Mapping[str, Source], device: str | torch.device
) -> list[Opened]:
    """Each under a name of its own, a run by its file: what is recorded is of files."""
    return [
        opened(each.directory if isinstance(each, Run) else each, device, name=name)
        for name, each in named_apart(sources).items()
    ]


def named_apart(sources: Sequence[Source] | Mapping[str, Source]) -> Mapping[str, Source]:
    """Sources by the names that a mapping gives, else by their own: numbered where these repeat.

    Raises ConfigError where there is none, or for one that is not in a list.
    """
    if isinstance(sources, str) or not isinstance(sources, Sequence | Mapping):
        raise ConfigError(f"give a list of models, for one as [model], got {sources!r:.100}")
    if not sources:
        raise ConfigError("nothing to compare: name at least one model")
    if isinstance(sources, Mapping):
        if wrong := [name for name in sources if not isinstance(name, str)]:
            raise ConfigError(f"name models by text, got {wrong[0]!r:.100} as a name")
        return sources
    return dict(zip(told_apart([_own_name(each) for each in sources]), sources, strict=True))


def _own_name(source: object) -> str:
    """What a source calls itself."""
    if isinstance(source, Run | Opened):
        return str(source.directory) if isinstance(source, Run) else source.name
    return type(unwrapped(source)).__name__ if isinstance(source, nn.Module) else str(source)


def dataset_for(
    entry: Opened,
    dataset: object | None,
    data_root: str | None = None,
    image_size: ImageSize | None = None,
    image_channels: int | None = None,
    unknown_is_missing: bool = False,
    kept: Kept | None = None,
) -> Dataset:
    """A dataset as a model reads it, by default the one it was trained on, which must be the same.

    Models that are given what was ``kept`` for others share it in memory, where they read it alike.

    Raises ConfigError where none is named and the model does not say one, DataError for data that
    do not fit the model.
    """
    own = dataset is None
    dataset = entry.dataset if own else dataset
    if dataset is None:
        raise ConfigError(
            "the model does not say which dataset it was trained on; name one, for example "
            "dataset='mnist' (--dataset)"
        )
    return load_for_model(
        entry.config,
        dataset,
        root=data_root,
        image_size=image_size,
        image_channels=image_channels,
        trained_on=entry.metadata.data if own and entry.metadata else None,
        unknown_is_missing=unknown_is_missing,
        kept=kept,
    )


def told_apart(names: Sequence[str]) -> Iterator[str]:
    """
    >>> list(told_apart(["VAE", "run", "VAE"]))
    ['VAE (1)', 'run', 'VAE (2)']
    """
    total, so_far = Counter(names), Counter[str]()
    for name in names:
        so_far[name] += 1
        yield name if total[name] == 1 else f"{name} ({so_far[name]})"


def unwrapped(model: nn.Module) -> LatentVariableModel:
    """The model inside the wrappers of compilation and of distributed training.

    Raises ConfigError where there is none.
    """
    inner = model
    while set(children := dict(inner.named_children())) in _WRAPPED_AS:
        (inner,) = children.values()
    if not isinstance(inner, LatentVariableModel):
        raise ConfigError(
            f"expected a model of zoo, got a {type(model).__name__}; zoo.create and zoo.load make "
            "them, and a class of your own derives from zoo.LatentVariableModel"
        )
    return inner
