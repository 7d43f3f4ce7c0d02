"""Densities are never taken in half precision."""

from __future__ import annotations

import torch
from torch import Tensor


def is_half(x: Tensor) -> bool:
    """Whether numbers have 16 bits."""
    return x.dtype in (torch.bfloat16, torch.float16)


def full_precision(x: Tensor) -> Tensor:
    """Half precision to float32, anything else untouched."""
    return x.float() if is_half(x) else x


def widen(x: Tensor) -> Tensor:
    """In double precision where the device has it: for few numbers that cancel."""
    return x if x.device.type == "mps" else x.double()
