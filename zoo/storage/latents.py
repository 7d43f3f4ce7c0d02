"""The moments of a model's codes, as a checkpoint holds them beside the model's tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.core.moments import LatentMoments
from zoo.errors import CheckpointError

MOMENTS = ("latents:mean", "latents:deviation")
"""What a file calls them; a model whose own tensors have such names is not saved."""


def moments_as_stored(moments: LatentMoments | None, code_dim: int) -> dict[str, Tensor]:
    """Name -> values; nothing where there are none.

    Raises CheckpointError where they are not those of codes of this width.
    """
    if moments is None:
        return {}
    return _checked(dict(zip(MOMENTS, moments, strict=True)), code_dim)


def read_moments(file: Any, code_dim: int) -> LatentMoments | None:
    """The moments in a file; None where it has none. Raises CheckpointError as in writing."""
    names = set(file.keys()) & set(MOMENTS)
    if not names:
        return None
    values = _checked({name: file.get_tensor(name).clone() for name in names}, code_dim)
    return LatentMoments(*(values[name] for name in MOMENTS))


def _checked(values: dict[str, Tensor], code_dim: int) -> dict[str, Tensor]:
    are_numbers = all(_are_of(each, code_dim) for each in values.values())
    if values.keys() != set(MOMENTS) or not are_numbers or bool((values[MOMENTS[1]] < 0).any()):
        described = sorted(f"{name} {tuple(v.shape)} {v.dtype}" for name, v in values.items())
        raise CheckpointError(
            f"the moments of its codes are {' and '.join(MOMENTS)}, each ({code_dim},) finite "
            f"numbers in float32, deviations at least 0; here are {' and '.join(described)}"
        )
    return values


def _are_of(values: Tensor, code_dim: int) -> bool:
    is_right = values.shape == (code_dim,) and values.dtype == torch.float32
    return is_right and bool(values.isfinite().all())
