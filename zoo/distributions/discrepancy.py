"""How far two sets of draws are from having one distribution."""

from __future__ import annotations

import torch
from torch import Tensor

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of the kernels (Tolstikhin et al. 2018, arXiv:1711.01558)."""


def squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    r"""MMD^2 of what vectors (B, D) and (B, D) are drawn from: unbiased, so at times below 0.

    1/(B (B - 1)) sum_(i != j) [k(a_i, a_j) + k(b_i, b_j)] - 2/B^2 sum_ij k(a_i, b_j) (Gretton et
    al. 2012, JMLR 13). k is the sum over the scales s of inverse multiquadratics
    c / (c + |x - y|^2), c = 2 D s: two draws of unit variance are on average 2 D apart, squared.

    >>> squared_mmd(torch.zeros(3, 2), torch.full((3, 2), 1e6))  # 2 for each scale
    tensor(14.)
    """
    count = len(a)
    within = _kernel(a, a) + _kernel(b, b)
    apart = within.sum() - within.diagonal().sum()
    return apart / max(count * (count - 1), 1) - 2 * _kernel(a, b).mean()


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Of all pairs, (B, B)."""
    ratio = torch.cdist(a, b).square() / (2 * a.shape[-1])
    return torch.stack([s / (s + ratio) for s in SCALES]).sum(0)
