"""Nearest neighbours, and balls that reach to them, of vectors: in float64, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

MOST_DISTANCES = 2**24
"""Held at a time."""


class Neighbours(NamedTuple):
    """Of each of N points the K nearest of some others, the nearest first."""

    distances: Tensor  # (N, K)
    places: Tensor  # (N, K)


class Held(NamedTuple):
    """Which balls hold which points."""

    balls: Tensor  # (N,) in how many balls each point lies
    reached: Tensor  # (M,) whether any point lies in each ball


def nearest(points: Tensor, others: Tensor, count: int = 1) -> Neighbours:
    """The ``count`` nearest of ``others`` (M, D) to each of ``points`` (N, D).

    >>> line = torch.tensor([[0.0], [1.0], [3.0]])
    >>> nearest(torch.tensor([[2.5]]), line, 2)
    Neighbours(distances=tensor([[0.5000, 1.5000]], dtype=torch.float64), places=tensor([[2, 1]]))
    """
    found = [part.topk(count, largest=False) for part in _distances(points, others)]
    return Neighbours(*(torch.cat(each) for each in zip(*found, strict=True)))


def radii(points: Tensor, neighbours: int) -> Tensor:
    """How far the k-th nearest other point is from each of ``points`` (N, D): (N,).

    >>> radii(torch.tensor([[0.0], [1.0], [3.0]]), 1)
    tensor([1., 1., 2.], dtype=torch.float64)
    """
    return nearest(points, points, neighbours + 1).distances[:, -1]  # the nearest is itself


def held(points: Tensor, centres: Tensor, radius: Tensor) -> Held:
    """Which of ``points`` (N, D) lie in the open balls of a ``radius`` (M,) around ``centres``.

    >>> held(torch.tensor([[0.5], [9.0]]), torch.tensor([[0.0], [1.0]]), torch.tensor([1.0, 0.1]))
    Held(balls=tensor([1, 0]), reached=tensor([ True, False]))
    """
    balls, reached = [], torch.zeros_like(radius, dtype=torch.bool)
    for part in _distances(points, centres):
        inside = part < radius  # (n, M)
        balls.append(inside.sum(1))
        reached |= inside.any(0)
    return Held(torch.cat(balls), reached)


def _distances(points: Tensor, others: Tensor) -> Iterator[Tensor]:
    """(n, M) of a few points at a time."""
    others = others.double()
    for part in torch.split(points.double(), max(1, MOST_DISTANCES // max(len(others), 1))):
        yield torch.cdist(part, others)
