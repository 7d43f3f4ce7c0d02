"""The type of floats that models are made in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Make floats in float32, whatever default the caller has set for the process.

    >>> with float32_by_default():
    ...     torch.zeros(1).dtype
    torch.float32
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
