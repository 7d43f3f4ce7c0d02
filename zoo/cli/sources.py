"""The models that commands are asked about, and the examples they are shown."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.cli.options import SplitName
from zoo.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

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
    return min(BATCH, model.decode_batch)


def examples_for(
    source: OpenedFile,
    dataset: str | None,
    split: SplitName,
    seed: int,
    data_root: str | None,
    image_channels: int | None,
) -> Examples:
    """The examples a model is shown: its dataset's unless told, as it reads them."""
    from zoo.data import load_for_model

    model, path, metadata = source
    trained_on = metadata.data if dataset is None else None
    dataset = dataset or metadata.dataset
    if dataset is None:
        raise ConfigError(f"{path} does not say what it was trained on; give a --dataset")
    data = load_for_model(
        model.config,
        dataset,
        root=data_root,
        image_channels=image_channels,
        trained_on=trained_on,
    )
    examples: Examples = getattr(data, split)
    return examples.fixed(model.input_kind, seed)


def told_by(model: LatentVariableModel, texts: list[str] | None, n: int) -> Tensor | None:
    """What ``n`` samples are told by ``--condition``, a row for each.

    Raises ConfigError where there is none but must be one, and for what is no number; what
    :meth:`sample` raises for all else.
    """
    from zoo.core.condition import as_condition, needed_condition

    if not texts:
        if (needed := needed_condition(model)) is not None:
            raise ConfigError(f"the model is told {needed.wanted}; give --condition")
        return None
    rows = [numbers_in(text) for text in texts]
    if model.conditioning is not None and model.conditioning.classes is not None:
        flat = [number for row in rows for number in row]
        return as_condition(model, flat[0] if len(flat) == 1 else flat, n)
    return as_condition(model, rows[0] if len(rows) == 1 else rows, n)


def numbers_in(text: str) -> list[int | float]:
    """The numbers of ``--condition``. Raises ConfigError for what is none."""
    return [_number(part, text) for part in text.split(",")]


def _number(part: str, text: str) -> int | float:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(part)
    raise ConfigError(f"--condition {text}: write a class as in 3, or numbers as in 0.5,1.5")


def check_writable(model: LatentVariableModel, path: Path) -> None:
    """Raise ConfigError where what the model makes cannot be written to a file of that name."""
    modality = model.modality
    if path.suffix not in modality.suffixes:
        allowed = " or ".join(modality.suffixes)
        raise ConfigError(f"--out {path}: the model makes {modality.name}, for a file {allowed}")
