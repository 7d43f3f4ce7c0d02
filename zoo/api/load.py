"""``zoo.load``: apart from the other verbs, because it needs so much less to be imported."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.core.model import LatentVariableModel
from zoo.devices import existing_device
from zoo.errors import ConfigError
from zoo.startup import collector_paused
from zoo.storage import checkpoint
from zoo.storage.hub import locate


@collector_paused()
def load(source: str | Path, *, device: str | torch.device = "cpu") -> LatentVariableModel:
    """A trained model, ready to use: a released checkpoint's name, a file or a run's folder.

    A name is looked for among the packaged files, in the cache, then at the mirrors; its SHA-256
    is always checked. Raises UnknownNameError or CheckpointError, and ConfigError for a device
    that is not there.

    >>> model = load("gaussian-vae-digits")
    >>> model.sample(4).shape
    torch.Size([4, 1, 8, 8])
    """
    place = existing_device(device)
    return checkpoint.load(file_of(source), device=place)


def file_of(source: str | Path) -> Path:
    """The file that ``source`` means.

    Raises ConfigError for what is neither a name nor a path, and what :func:`load` raises.
    """
    if not isinstance(source, str | Path):
        raise ConfigError(
            f"expected a released name, a file or a run's folder, got a {type(source).__name__}"
        )
    return locate(source)
