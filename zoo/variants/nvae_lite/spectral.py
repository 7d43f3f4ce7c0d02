"""Spectral norms of a model's convolutions, followed by power iteration."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class SpectralNorms(nn.Module):
    """The sum of the largest singular values of all convolutions, each read as (out, in k k).

    Penalising it bounds how much outputs change with inputs (Yoshida & Miyato 2017,
    arXiv:1705.10941). One step of power iteration a call keeps up with weights that change slowly;
    those of one shape share it. Only the left vectors are kept; they belong to the state of a run.

    >>> convolution = nn.Conv2d(4, 4, 1)
    >>> norms = SpectralNorms([convolution])
    >>> for _ in range(200): found = norms([convolution])
    >>> bool((found - torch.linalg.matrix_norm(convolution.weight.flatten(1), 2)).abs() < 1e-3)
    True
    """

    def __init__(self, convolutions: Iterable[nn.Conv2d]) -> None:
        super().__init__()
        for shape, weights in _by_shape(convolutions).items():
            left = normalize(torch.randn(len(weights), shape[0]), dim=1)
            self.register_buffer(_name(shape), left)

    def forward(self, convolutions: Iterable[nn.Conv2d]) -> Tensor:
        """The sum over the convolutions it was made for, a scalar; differentiable by the weights.

        In training mode every call takes a step.
        """
        total = []
        for shape, weights in _by_shape(convolutions).items():
            stacked = torch.stack([weight.flatten(1) for weight in weights])  # (N, out, in k k)
            total.append(self._norms(self.get_buffer(_name(shape)), stacked).sum())
        return torch.stack(total).sum()

    def _norms(self, left: Tensor, stacked: Tensor) -> Tensor:
        """u W v for the matrices (N, out, in), with u and v held constant."""
        with torch.no_grad():
            right = normalize(torch.einsum("no,noi->ni", left, stacked), dim=1)  # (N, in k k)
            following = normalize(torch.einsum("noi,ni->no", stacked, right), dim=1)  # (N, out)
            if self.training:  # keeps its vector while a matrix is zero
                left.copy_(torch.where(following.any(1, keepdim=True), following, left))
        return torch.einsum("no,noi,ni->n", following, stacked, right)  # (N,)


def _name(shape: tuple[int, int]) -> str:
    return f"left_{shape[0]}x{shape[1]}"


def _by_shape(convolutions: Iterable[nn.Conv2d]) -> dict[tuple[int, int], list[Tensor]]:
    """Their weights, those that flatten to one shape together."""
    groups: dict[tuple[int, int], list[Tensor]] = {}
    for convolution in convolutions:
        weight = convolution.weight
        groups.setdefault((len(weight), weight[0].numel()), []).append(weight)
    return groups
