"""The distance of two normal distributions, fitted to draws."""

from __future__ import annotations

from torch import Tensor
from torch.linalg import eigh, eigvalsh


def frechet_distance(a: Tensor, b: Tensor) -> Tensor:
    r"""|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) of vectors (N, D) and (M, D).

    The squared Frechet distance of the normal distributions with the means m and covariances S of
    the draws (Dowson & Landau 1982, Journal of Multivariate Analysis 12). Of few draws it comes
    out too large.

    >>> import torch
    >>> line = torch.tensor([[-1.0], [0.0], [1.0]])  # of mean 0 and variance 1
    >>> frechet_distance(line, 3 * line + 5).item()  # 5^2 + (3 - 1)^2
    29.0
    """
    apart = (a.mean(0) - b.mean(0)).square().sum()  # ()
    first, second = _covariance(a), _covariance(b)
    values, vectors = eigh(first)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T  # (D, D)
    # S_a S_b and the symmetric S_a^(1/2) S_b S_a^(1/2) have the same eigenvalues.
    shared = eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()  # ()
    distance: Tensor = apart + first.trace() + second.trace() - 2 * shared
    return distance


def _covariance(draws: Tensor) -> Tensor:
    """(D, D) of (N, D)."""
    centred = draws - draws.mean(0)
    return centred.T @ centred / (len(draws) - 1)
