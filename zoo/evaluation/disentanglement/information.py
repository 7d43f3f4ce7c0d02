"""Scores of the mutual information between each number of a code and each factor."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.evaluation.disentanglement.checked import checked
from zoo.randomness import short_seed

BINS = 20
NEIGHBOURS = 10
"""Of the estimate of the information of a number, as in the code of Hsu et al."""
ACTIVE = 1 / 20
"""A dimension is active when its range exceeds this share of the widest, as there."""


def mutual_information_gap(codes: Tensor, factors: Tensor) -> float:
    r"""MIG (Chen et al. 2018, equation 6): whether one number alone tells a factor.

        1/L sum_k (I(z_first; v_k) - I(z_second; v_k)) / H(v_k)

    of the two dimensions that tell factor k most. Codes are cut into 20 bins of equal width, as
    Locatello et al. 2019 (arXiv:1811.12359) do. From 0 to 1, but for a factor of more than 20
    values, which can reach log 20 / H(v_k) alone.

    ``codes`` (N, D), ``factors`` integers (N, L). Raises DataError for others.

    >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4))
    >>> round(mutual_information_gap(factors.float(), factors), 6)
    1.0
    """
    codes, factors = checked(codes, factors)
    low, high = codes.amin(0), codes.amax(0)  # (D,) each
    width = (high - low).clamp(min=torch.finfo(codes.dtype).tiny)
    bins = ((codes - low) / width * BINS).long().clamp(max=BINS - 1)
    pairs = (factors[:, :, None] * BINS + bins[:, None]).flatten(1)  # (N, L D)
    joint = entropies(pairs).view(factors.shape[1], -1)  # (L, D)
    told = entropies(factors)[:, None] + entropies(bins) - joint
    first, second = told.topk(2, dim=1).values.T  # (L,) each
    return float(((first - second) / entropies(factors)).mean())


def normalised_information(codes: Tensor, factors: Tensor, seed: int = 0) -> Tensor:
    r"""NMI_ij = I(v_i; z_j) / H(v_i) of each factor and active dimension, (L, A).

    Active are the dimensions whose range exceeds 1/20 of the widest. The information is estimated
    from the 10 nearest neighbours (Ross 2014) with scikit-learn; ``seed`` is of the noise that it
    adds to break ties.

    ``codes`` (N, D), ``factors`` integers (N, L). Raises DataError for others.
    """
    from sklearn.feature_selection import mutual_info_classif  # slow to import

    codes, factors = checked(codes, factors)
    ranges = codes.amax(0) - codes.amin(0)  # (D,)
    z = codes[:, (ranges > ACTIVE * ranges.max()) | (ranges.max() == 0)].numpy()
    told = [
        mutual_info_classif(z, v.numpy(), n_neighbors=NEIGHBOURS, random_state=short_seed(seed))
        for v in factors.T
    ]
    return torch.stack([torch.from_numpy(row) for row in told]) / entropies(factors)[:, None]


def modularity(information: Tensor) -> float:
    r"""InfoM (Hsu et al. 2023): whether a number of the code tells one factor alone.

        (1/A sum_j max_i NMI_ij / sum_i NMI_ij - 1/L) / (1 - 1/L)

    of :func:`normalised_information` (L, A). From 0 to 1. A dimension that tells nothing counts as
    0 where its estimates are 0; else their noise decides: a code of noise can score 0.6.

    >>> modularity(torch.eye(3)), modularity(torch.tensor([[1.0, 0.5], [1.0, 0.0]]))
    (1.0, 0.5)
    """
    return _beyond_even(information, dim=0)


def compactness(information: Tensor) -> float:
    r"""InfoC (Hsu et al. 2023): whether a factor is told by one number of the code alone.

        (1/L sum_i max_j NMI_ij / sum_j NMI_ij - 1/A) / (1 - 1/A)

    of :func:`normalised_information` (L, A). From 0 to 1; of one active dimension it is 1, since
    no other tells anything.

    >>> compactness(torch.tensor([[1.0, 0.0], [1.0, 1.0]])), compactness(torch.ones(3, 1))
    (0.5, 1.0)
    """
    return _beyond_even(information, dim=1)


def entropies(factors: Tensor) -> Tensor:
    """H(v_k) in nats of factors (N, L), of their frequencies; (L,)."""
    shares = [column.bincount().double() / len(column) for column in factors.T]
    return torch.stack([torch.special.entr(share).sum() for share in shares])


def _beyond_even(table: Tensor, dim: int) -> float:
    """The largest share along ``dim``, averaged: 0 where all are alike, 1 where there is one."""
    table = table.double()
    if table.shape[dim] == 1:
        return 1.0
    even = 1 / table.shape[dim]
    total = table.sum(dim)  # (A,) or (L,)
    share = torch.where(total > 0, table.amax(dim) / total, even)
    return float((share.mean() - even) / (1 - even))
