"""Random numbers from the global generator or a given one.

Two calls each, because torch.compile cannot trace a generator of None with a changing batch size.
"""

from __future__ import annotations

import torch
from torch import Tensor


def standard_normal(
    shape: torch.Size, dtype: torch.dtype, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Draws from N(0, 1)."""
    if generator is None:
        return torch.randn(shape, dtype=dtype, device=device)
    return torch.randn(shape, dtype=dtype, device=device, generator=generator)


def uniform(
    shape: torch.Size, dtype: torch.dtype, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Draws from [0, 1)."""
    if generator is None:
        return torch.rand(shape, dtype=dtype, device=device)
    return torch.rand(shape, dtype=dtype, device=device, generator=generator)
