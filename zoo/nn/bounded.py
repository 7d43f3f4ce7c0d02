"""Parameters of normals from what a network makes."""

from __future__ import annotations

from torch import Tensor

from zoo.distributions.precision import full_precision

BOUND = 5.0
"""Of means and log-scales: what keeps the KL of an untrained deep hierarchy finite."""


def bounded_halves(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 2 n) to a mean and a log-scale (..., n), each softly held within the bound.

    >>> import torch
    >>> bounded_halves(torch.tensor([0.0, 1000.0]))
    (tensor([0.]), tensor([5.]))
    """
    mean, log_scale = (BOUND * (full_precision(numbers) / BOUND).tanh()).chunk(2, dim=-1)
    return mean, log_scale
