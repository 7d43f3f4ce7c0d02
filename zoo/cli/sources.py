"""The models that commands are asked about, and the examples they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.cli.options import SplitName
from zoo.errors import ConfigError

if TYPE_CHECKING:
    from zoo.core.model import LatentVariableModel
    from zoo.data.examples import Examples
    from zoo.storage.checkpoint import CheckpointMetadata

# torch and all that needs it are imported where they are used: `zoo list` does without.

BATCH = 500
"""Examples that are encoded, decoded or drawn at a time, at most."""


class OpenedFile(NamedTuple):
    """A model on the CPU, the file it came from, and what that says of it."""

    model: LatentVariableModel
    path: Path
    metadata: CheckpointMetadata


def open_source(source: str) -> OpenedFile:
    """The model that ``source`` means."""
    from zoo.storage.hub import locate

    path = locate(source)  # before torch is imported: a wrong name is answered at once
    from zoo.api.load import load_with_metadata

    model, metadata = load_with_metadata(path)
    return OpenedFile(model, path, metadata)


def batch_size(model: LatentVariableModel) -> int:
    """How many examples the model encodes, decodes or draws at a time."""
    return min(BATCH, model.rows)


def examples_for(
    source: OpenedFile, dataset: str | None, split: SplitName, seed: int, data_root: str | None
) -> Examples:
    """The examples a model is shown: its dataset's unless told, as it reads them."""
    from zoo.data import load_for_model

    model, path, metadata = source
    trained_on = metadata.data if dataset is None else None
    dataset = dataset or metadata.dataset
    if dataset is None:
        raise ConfigError(f"{path} does not say what it was trained on; give a --dataset")
    data = load_for_model(model.config, dataset, root=data_root, trained_on=trained_on)
    examples: Examples = getattr(data, split)
    return examples.fixed(model.input_kind, seed)


def check_writable(model: LatentVariableModel, path: Path) -> None:
    """Raise ConfigError where what the model makes cannot be written to a file of that name."""
    modality = model.modality
    if path.suffix not in modality.suffixes:
        allowed = " or ".join(modality.suffixes)
        raise ConfigError(f"--out {path}: the model makes {modality.name}, for a file {allowed}")
