"""How far two sets of draws are from having one distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Kernel: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""k(a_i, b_j) of all pairs of vectors (A, D) and (B, D): (A, B)."""

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of the kernels (Tolstikhin et al. 2018, arXiv:1711.01558)."""


def inverse_multiquadrics(a: Tensor, b: Tensor) -> Tensor:
    """The sum over the scales s of c / (c + |x - y|^2), c = 2 D s.

    Two draws of unit variance are on average 2 D apart, squared.
    """
    ratio = torch.cdist(a, b).square() / (2 * a.shape[-1])  # (A, B)
    return torch.stack([s / (s + ratio) for s in SCALES]).sum(0)  # (A, B)


def cubic(a: Tensor, b: Tensor) -> Tensor:
    """(x . y / D + 1)^3 (Binkowski et al. 2018, arXiv:1801.01401): it compares three moments.

    >>> cubic(torch.ones(1, 4), torch.ones(1, 4))
    tensor([[8.]])
    """
    return (a @ b.T / a.shape[-1] + 1) ** 3  # (A, B)


def squared_mmd(a: Tensor, b: Tensor, kernel: Kernel = inverse_multiquadrics) -> Tensor:
    r"""MMD^2 of what vectors (B, D) and (B, D) are drawn from: unbiased, so at times below 0.

    1/(B (B - 1)) sum_(i != j) [k(a_i, a_j) + k(b_i, b_j)] - 2/B^2 sum_ij k(a_i, b_j) (Gretton et
    al. 2012, JMLR 13).

    >>> squared_mmd(torch.zeros(3, 2), torch.full((3, 2), 1e6))  # 2 for each scale
    tensor(14.)
    """
    count = len(a)
    within = kernel(a, a) + kernel(b, b)  # (B, B)
    apart = within.sum() - within.diagonal().sum()  # ()
    return apart / max(count * (count - 1), 1) - 2 * kernel(a, b).mean()
