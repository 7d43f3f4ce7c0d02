"""Models that are made and written: create, save."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from zoo import checkpoint
from zoo.api.arguments import plain
from zoo.api.source import opened
from zoo.api.train import DEFAULT_DATASET, Option
from zoo.data import load_dataset
from zoo.errors import ConfigError
from zoo.model import VariationalAutoencoder
from zoo.registry import registry
from zoo.settings import merge
from zoo.training.trainer import Run
from zoo.variants import build, complete_config


def create(
    variant: str,
    *,
    dataset: str = DEFAULT_DATASET,
    data_root: str | None = None,
    **overrides: Option,
) -> VariationalAutoencoder:
    """An untrained model of a variant, shaped for a dataset; ``overrides`` are model settings.

    A dataset's files are read, from ``data_root`` or where else they are looked for, only where
    its registered facts do not say enough: of text the vocabulary is learned.

    The weights are drawn with torch's global generator. The model is in eval mode, as loaded ones
    are: call ``.train()`` before training it yourself. Raises UnknownNameError, or ConfigError
    naming the nearest setting.

    >>> create("gaussian-vae", dataset="mnist", latent_dim=10).code_dim
    10
    """
    spec = registry().variant(variant)
    known = registry().datasets.get(dataset)
    settings = merge(spec.config, plain(overrides))
    if known is not None and known.shape is not None:
        config = complete_config(variant, settings, known.shape, known.likelihood)
    else:
        data = load_dataset(dataset, root=data_root)
        facts = data.train.shape, data.likelihood, data.tokenizer
        config = complete_config(variant, settings, *facts)
    return build(variant, config).eval()


def save(
    model: nn.Module | Run,
    path: str | Path,
    *,
    variant: str | None = None,
    dataset: str | None = None,
    half: bool = False,
) -> None:
    """Write a model to a file that :func:`zoo.load` reads: numbers and names, never code.

    Of a :class:`Run` variant and dataset are known. Of a model the ``variant`` is asked for where
    several share its class; ``dataset`` is what it is then evaluated on. With ``half`` the weights
    take half the place and keep three digits.

    Raises ConfigError where the variant must be said, and CheckpointError where the model is not
    of that variant or the file cannot be written.

    >>> import tempfile, zoo
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(create("vmf-vae"), f"{folder}/mine.safetensors", variant="vmf-vae")
    ...     type(zoo.load(f"{folder}/mine.safetensors")).__name__
    'VMFVAE'
    """
    source = opened(model)
    known = source.metadata
    checkpoint.save(
        path,
        source.model,
        variant=variant or source.variant or _variant_of(source.model),
        dataset=dataset or source.dataset,
        training=None if known is None else known.training,
        half=half,
    )


def _variant_of(model: VariationalAutoencoder) -> str:
    """What the model says it is, or else the one variant of its class."""
    if isinstance(own := getattr(model, "variant", None), str):
        return own
    path = f"{type(model).__module__}:{type(model).__qualname__}"
    names = sorted(name for name, spec in registry().variants.items() if spec.model == path)
    if len(names) != 1:
        choices = " or ".join(f"variant={name!r}" for name in names)
        raise ConfigError(
            f"say which variant the {type(model).__name__} is: {choices}"
            if names
            else f"no variant of the registry is a {path}; register it, see zoo.register"
        )
    return names[0]
