"""Models that are made and written: create, save."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from zoo.api.arguments import plain
from zoo.api.source import opened
from zoo.api.train import DEFAULT_DATASET, Option
from zoo.core.model import LatentVariableModel
from zoo.data import load_dataset
from zoo.registry import registry
from zoo.storage import checkpoint
from zoo.training.launch import Run
from zoo.variants import Facts, Variant


def create(
    variant: str,
    *,
    dataset: object = DEFAULT_DATASET,
    data_root: str | None = None,
    **overrides: Option,
) -> LatentVariableModel:
    """An untrained model of a variant, shaped for a dataset; ``overrides`` are model settings.

    A dataset's files are read, from ``data_root`` or where else they are looked for, only where
    its registered facts do not say enough: of text the vocabulary is learned.

    The weights are drawn with torch's global generator. The model is in eval mode, as loaded ones
    are: call ``.train()`` before training it yourself. Raises UnknownNameError, or ConfigError
    naming the nearest setting.

    >>> create("gaussian-vae", dataset="mnist", latent_dim=10).code_dim
    10
    """
    found = Variant.find(variant)
    known = registry().datasets.get(dataset) if isinstance(dataset, str) else None
    settings = found.settings(plain(overrides))
    if known is not None and known.shape is not None and settings.get("condition") is None:
        facts = Facts(known.shape, known.likelihood)
    else:
        facts = Facts.of(load_dataset(dataset, root=data_root))
    return found.build(found.complete(settings, facts)).eval()


def save(
    model: nn.Module | Run,
    path: str | Path,
    *,
    variant: str | None = None,
    dataset: str | None = None,
    half: bool = False,
) -> None:
    """Write a model to a file that :func:`zoo.load` reads: numbers and names, never code.

    Of a :class:`Run` variant and dataset are known, of a model that was made by name its variant;
    ``dataset`` is what it is then evaluated on. With ``half`` the weights take half the place and
    keep three digits.

    Raises ConfigError where the variant must be said, and CheckpointError where the model is not
    of that variant or the file cannot be written.

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
        half=half,
    )
