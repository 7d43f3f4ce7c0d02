"""Models that are made and written: create, save."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from zoo.api.arguments import plain
from zoo.api.source import opened
from zoo.api.train import DEFAULT_DATASET, Option
from zoo.core.condition import conditioned_on
from zoo.core.model import LatentVariableModel
from zoo.data import load_dataset
from zoo.data.conversion import ImageSize
from zoo.registry import DatasetSpec, registry
from zoo.storage import checkpoint
from zoo.training.launch import Run
from zoo.variants import Facts, Variant


def create(
    variant: str,
    *,
    dataset: object = DEFAULT_DATASET,
    data_root: str | None = None,
    image_size: ImageSize | None = None,
    image_channels: int | None = None,
    columns: object = None,
    labels: str | None = None,
    **overrides: Option,
) -> LatentVariableModel:
    """An untrained model of a variant, shaped for a dataset; ``overrides`` are model settings.

    A dataset's files are read, from ``data_root`` or where else they are looked for, only where
    its registered facts do not say enough: of text the vocabulary is learned, and the numbers or
    classes that a model is told may stand in the data alone. ``image_size``,
    ``image_channels``, ``columns`` and ``labels`` are those of :func:`zoo.load_dataset`.

    The weights are drawn with torch's global generator. The model is in eval mode, as loaded ones
    are: call ``.train()`` before training it yourself. Raises UnknownNameError, or ConfigError
    naming the nearest setting.

    >>> create("gaussian-vae", dataset="mnist", latent_dim=10).code_dim
    10
    """
    found = Variant.find(variant)
    known = registry().datasets.get(dataset) if isinstance(dataset, str) else None
    settings = found.settings(plain(overrides))
    converted = (image_size, image_channels) != (None, None)
    facts = None if converted else _known_facts(known, found, settings)
    if facts is None:
        data = load_dataset(
            dataset,
            root=data_root,
            image_size=image_size,
            image_channels=image_channels,
            columns=found.columns(settings, columns),
            labels=labels,
        )
        facts = Facts.of(data.conditioned(conditioned_on(settings)))
    return found.build(found.complete(settings, facts)).eval()


def _known_facts(
    spec: DatasetSpec | None, variant: Variant, settings: Mapping[str, Any]
) -> Facts | None:
    """What a registered dataset says of a model so set, or None where its files must be read."""
    if spec is None or spec.shape is None:
        return None
    column = conditioned_on(settings)
    if column is not None and (column != "labels" or spec.classes is None):
        return None
    if variant.model.has_classes and spec.classes is None:
        return None
    return Facts(spec.shape, spec.likelihood, classes=spec.classes)


def save(
    model: nn.Module | Run,
    path: str | Path,
    *,
    variant: str | None = None,
    dataset: str | None = None,
    bits: int | None = None,
) -> None:
    """Write a model to a file that :func:`zoo.load` reads: numbers and names, never code.

    Of a :class:`Run` variant and dataset are known, of a model that was made by name its variant;
    ``dataset`` is what it is then evaluated on. With ``bits=16`` the weights take half the
    place and keep three digits, with ``bits=8`` about a quarter and keep two.

    Raises ConfigError where the variant must be said or for other ``bits``, and CheckpointError
    where the model is not of that variant or the file cannot be written.

    >>> import tempfile, zoo
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(create("vmf-vae"), f"{folder}/mine.safetensors")
    ...     zoo.load(f"{folder}/mine.safetensors").variant
    'vmf-vae'
    """
    source = opened(model)
    known = source.metadata
    checkpoint.save(
        path,
        source.model,
        variant=variant or source.variant,
        dataset=dataset or source.dataset,
        training=None if known is None else known.training,
        bits=bits,
    )
