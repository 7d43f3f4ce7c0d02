"""The moments of a model's codes, as a checkpoint holds them beside the model's tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.core.moments import LatentMoments
from zoo.errors import CheckpointError

MOMENTS = ("latents:mean", "latents:deviation")
"""What a file calls them; no name of a module's tensor has a colon by itself."""


def moments_as_stored(moments: LatentMoments | None) -> dict[str, Tensor]:
    """Name -> values in float32; nothing where there are none."""
    if moments is None:
        return {}
    return {name: each.float() for name, each in zip(MOMENTS, moments, strict=True)}


def read_moments(file: Any, code_dim: int) -> LatentMoments | None:
    """The moments in a file; None where it has none.

    Raises CheckpointError where they are not those of codes of this width.
    """
    present = [name for name in MOMENTS if name in file.keys()]  # noqa: SIM118 -- no mapping
    if not present:
        return None
    values = [file.get_tensor(name).clone() for name in present]
    good = [_are_of(each, code_dim) for each in values]
    if len(good) < len(MOMENTS) or not all(good) or bool((values[1] < 0).any()):
        described = [f"{name} {tuple(v.shape)}" for name, v in zip(present, values, strict=True)]
        raise CheckpointError(
            f"the moments of its codes are {' and '.join(MOMENTS)}, each ({code_dim},) finite "
            f"numbers in float32, deviations at least 0; the file has {' and '.join(described)}"
        )
    return LatentMoments(*values)


def _are_of(values: Tensor, code_dim: int) -> bool:
    is_right = values.shape == (code_dim,) and values.dtype == torch.float32
    return is_right and bool(values.isfinite().all())
