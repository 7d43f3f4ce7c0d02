"""What distributions around a direction on the unit sphere have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.distributions.precision import full_precision
from zoo.distributions.sphere import concentration, sphere, unit_vectors


class Directional(Distribution):
    """Distributions on the sphere of R^m that are symmetric around ``loc``.

    ``loc`` (..., m) has unit length, ``scale`` (..., 1) is the concentration, 0 or larger; their
    batch shapes broadcast. Half precision is taken to float32, since it cannot hold points of a
    sphere: directions that were of unit length up to its rounding are made so anew.
    """

    arg_constraints = {"loc": sphere, "scale": concentration}
    support = sphere
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        if loc.ndim < 1 or loc.shape[-1] < 2:
            raise ValueError(f"loc must have shape (..., m) with m >= 2, got {tuple(loc.shape)}")
        if scale.ndim < 1 or scale.shape[-1] != 1:
            raise ValueError(
                f"scale must have shape (..., 1), got {tuple(scale.shape)}; use scale.unsqueeze(-1)"
            )
        loc, scale = unit_vectors(loc), full_precision(scale)
        if not loc.is_floating_point() or loc.dtype != scale.dtype:
            raise ValueError(
                f"loc and scale must be floating-point and of one dtype, got {loc.dtype} and "
                f"{scale.dtype}"
            )
        batch = broadcast_shape(loc.shape[:-1], scale.shape[:-1])
        self.loc = expanded(loc, (*batch, loc.shape[-1]))
        self.scale = expanded(scale, (*batch, 1))
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Directional:
        """The same distribution over a larger batch shape."""
        loc = expanded(self.loc, (*batch_shape, self.m))
        new = self._like(loc, expanded(self.scale, (*batch_shape, 1)))
        new._validate_args = self._validate_args
        return new

    def _like(self, loc: Tensor, scale: Tensor) -> Directional:
        return type(self)(loc, scale, validate_args=False)

    @property
    def m(self) -> int:
        """The ambient dimension."""
        return self._event_shape[0]

    @property
    def concentration(self) -> Tensor:
        """The concentration without its trailing axis, shape (...)."""
        return self.scale.squeeze(-1)

    @property
    def mode(self) -> Tensor:
        """The direction mu."""
        return self.loc

    def sample(self, sample_shape: Any = (), generator: torch.Generator | None = None) -> Tensor:
        """Draws (*sample_shape, *batch_shape, m)."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def rsample(self, sample_shape: Any = (), generator: torch.Generator | None = None) -> Tensor:
        """Draws (*sample_shape, *batch_shape, m), reparameterised."""
        raise NotImplementedError


def broadcast_shape(one: torch.Size, other: torch.Size) -> torch.Size:
    """What both broadcast to."""
    if one == other:
        return one
    return torch.broadcast_shapes(one, other)  # type: ignore[no-untyped-call, no-any-return]


def expanded(x: Tensor, shape: Sequence[int]) -> Tensor:
    """``x`` over a larger shape; itself where nothing is to be done, which spares the gradient."""
    return x if x.shape == shape else x.expand(shape)


def check_same_sphere(own: int, other: int) -> None:
    """Raise ValueError for two distributions in R^own and R^other."""
    if own != other:
        raise ValueError(f"the distributions live on different spheres, in R^{own} and R^{other}")


def as_size(sample_shape: Any) -> torch.Size:
    """A sample shape, also from a bare number."""
    return torch.Size([sample_shape] if isinstance(sample_shape, int) else sample_shape)
