"""What all scores ask of codes and factors."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import DataError


def checked(codes: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (N, D) in float64 and factors (N, L), each numbered from 0; on the CPU.

    A factor of one value is left out: nothing can say it. Raises DataError for codes and factors
    that do not fit, and where fewer than two dimensions or factors are left.

    >>> codes, factors = torch.rand(3, 2), torch.tensor([[5, 1, 0], [7, 1, 1], [5, 1, 2]])
    >>> checked(codes, factors)[1].tolist()
    [[0, 0], [1, 1], [0, 2]]
    """
    codes, factors = codes.detach().cpu().double(), factors.cpu()
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or not len(codes):
        raise DataError(
            "codes must be (N, D) and factors (N, L) with N at least 1, got "
            f"{tuple(codes.shape)} and {tuple(factors.shape)}"
        )
    if factors.is_floating_point():
        raise DataError(f"factors must be integers, got {factors.dtype}")
    if not codes.isfinite().all():
        raise DataError("codes hold NaN or infinite values; look at the model")
    numbered = [torch.unique(column, return_inverse=True)[1] for column in factors.T]  # (N,) each
    varying = [column for column in numbered if column.max() > 0]
    if len(varying) < 2 or codes.shape[1] < 2:
        raise DataError(
            f"at least 2 dimensions and 2 factors of several values are compared, got "
            f"{codes.shape[1]} and {len(varying)}"
        )
    return codes, torch.stack(varying, 1)


def halves(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Which examples are learnt from, and which are judged; drawn by the seed alone."""
    order = torch.randperm(count, generator=torch.Generator("cpu").manual_seed(seed), device="cpu")
    return order[: count // 2], order[count // 2 :]
