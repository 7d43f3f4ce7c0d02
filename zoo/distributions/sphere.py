"""The unit sphere as the support of a distribution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import normalize

from zoo.distributions.precision import full_precision, is_half
from zoo.errors import UnsupportedError


class _Sphere(constraints.Constraint):
    """Vectors of unit length, up to rounding."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        if not value.is_floating_point():
            return torch.zeros(value.shape[:-1], dtype=torch.bool, device=value.device)
        eps = torch.finfo(value.dtype).eps
        # Never finer than float32 is: codes are often stored so, and doubled later. Rounding to
        # half precision changes the length by half an eps.
        tolerance = eps if is_half(value) else max(64 * eps * value.shape[-1] ** 0.5, 1e-5)
        length = torch.linalg.vector_norm(full_precision(value), dim=-1)  # (...)
        on_sphere: Tensor = (length - 1).abs() <= tolerance
        return on_sphere


class _Concentration(constraints.Constraint):
    """Finite and not negative, with a trailing axis of 1."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return ((value >= 0) & (value < torch.inf)).squeeze(-1)  # (...)


sphere = _Sphere()
concentration = _Concentration()


def sphere_quantiles(u: Tensor, width: int) -> Tensor:
    """Unit vectors (N, m) at places u (N, m - 1) in (0, 1), m = ``width`` being 2 or 3.

    Uniform u make uniform vectors: u is a fraction of the turn, and in R^3 then one of the height,
    as on Lambert's cylindrical map, whose areas are those of the sphere. Raises UnsupportedError
    for wider vectors.

    >>> sphere_quantiles(torch.tensor([[0.5, 0.5]]), 3).add(0.0)
    tensor([[1., 0., 0.]])
    """
    if width > 3:
        raise UnsupportedError(
            f"quantiles are those of a circle or of a sphere in R^3, and vectors have {width} "
            "numbers; choose latent_dim=3"
        )
    turn = 2 * torch.pi * (u[:, 0] - 0.5)  # (N,)
    circle = torch.stack([turn.cos(), turn.sin()], dim=1)  # (N, 2)
    if width == 2:
        return circle
    height = 2 * u[:, 1:] - 1  # (N, 1)
    return torch.cat([(1 - height.square()).sqrt() * circle, height], dim=1)


def unit_vectors(x: Tensor) -> Tensor:
    """Half precision to float32, and of unit length anew where it was so up to rounding.

    Anything else untouched: what is no unit vector stays none, and is refused where one validates.
    """
    if not is_half(x):
        return x
    wide = full_precision(x)
    return torch.where(sphere.check(x).unsqueeze(-1), normalize(wide, dim=-1), wide)
