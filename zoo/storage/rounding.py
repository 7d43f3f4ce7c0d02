"""Weights in fewer bits than a model computes with, as a released file holds them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.errors import CheckpointError, ConfigError

BITS = (16, 8)
"""What a weight may be stored in."""
SCALE = ":scale"
"""How the name of a tensor's scales ends."""

_LEVELS = 127
_ROW = 8  # numbers from which on a scale for a row pays


def check_bits(bits: object) -> None:
    """Raise ConfigError for what is no number of bits."""
    if bits is not None and (isinstance(bits, bool) or bits not in BITS):
        raise ConfigError(f"bits must be 16, 8 or None (weights as they are), got {bits!r:.100}")


def rounded(
    tensors: Mapping[str, Tensor], bits: int, weights: Collection[str]
) -> dict[str, Tensor]:
    r"""The tensors as stored in so many bits; those that are no floats as they are.

    With 16 they become float16. With 8 each row w of one of the ``weights``, a slice of at least 8
    numbers along its first axis, becomes

    .. math:: q = \operatorname{round}(w / s), \quad s = \max |w| / 127,

    with a float32 scale s, so that no weight moves by more than s / 2; the rest becomes float16.
    Raises CheckpointError for values beyond what they are stored in.

    >>> stored = rounded({"w": torch.tensor([[0.0] * 7 + [2.0]])}, 8, ["w"])
    >>> {name: (str(tensor.dtype), tensor.flatten()[-1].item()) for name, tensor in stored.items()}
    {'w': ('torch.int8', 127), 'w:scale': ('torch.float32', 0.015748031437397003)}
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if bits == 8 and name in weights and _has_rows(tensor):
            stored[name], stored[name + SCALE] = _levels(name, tensor)
        else:
            stored[name] = _halved(name, tensor)
    return stored


def with_scales(file: Any) -> set[str]:
    """The names of the file's tensors that are integers and have a scale for each row."""
    names = set(file.keys())
    pairs = {name.removesuffix(SCALE) for name in names if name.endswith(SCALE)}
    return {name for name in pairs & names if _is_levels(file, name)}


def restored(file: Any, name: str, scaled: Collection[str], dtype: torch.dtype) -> Tensor:
    """A copy in ``dtype`` of what the file has under ``name``, times its scales if it has some."""
    tensor: Tensor = file.get_tensor(name)
    if name not in scaled:
        return tensor.to(dtype, copy=True)
    scales: Tensor = file.get_tensor(name + SCALE)  # (R,)
    return (tensor * scales.view(-1, *[1] * (tensor.ndim - 1))).to(dtype)


def _is_levels(file: Any, name: str) -> bool:
    levels, scales = file.get_slice(name), file.get_slice(name + SCALE)
    kinds = levels.get_dtype(), scales.get_dtype()
    return kinds == ("I8", "F32") and scales.get_shape() == levels.get_shape()[:1]


def _has_rows(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.ndim > 1 and math.prod(tensor.shape[1:]) >= _ROW


def _levels(name: str, tensor: Tensor) -> tuple[Tensor, Tensor]:
    rows = tensor.detach().float().flatten(1)  # (R, N)
    scales = rows.abs().amax(1) / _LEVELS  # (R,)
    if not (scales * _LEVELS).isfinite().all():
        raise CheckpointError(f"{name} has values beyond float32's range; save with bits=None")
    levels = rows / torch.where(scales > 0, scales, 1)[:, None]
    return levels.round().clamp(-_LEVELS, _LEVELS).to(torch.int8).view(tensor.shape), scales


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    stored = tensor.half()
    if not torch.equal(stored.isfinite(), tensor.isfinite()):
        raise CheckpointError(f"{name} has values beyond float16's range; save with bits=None")
    return stored
