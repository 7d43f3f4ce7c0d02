"""``zoo.load``: apart from the other verbs, because it needs so much less to be imported."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.storage import checkpoint
from zoo.storage.hub import locate
from zoo.core.model import LatentVariableModel


def load(source: str | Path, *, device: str | torch.device = "cpu") -> LatentVariableModel:
    """A trained model, ready to use: a released checkpoint's name, a file or a run's folder.

    A name is looked for among the packaged files, in the cache, then at the mirrors; its SHA-256
    is always checked. Raises UnknownNameError or CheckpointError.

    >>> model = load("gaussian-vae-digits")
    >>> model.sample(4).shape
    torch.Size([4, 1, 8, 8])
    """
    return checkpoint.load(locate(source), device=device)
