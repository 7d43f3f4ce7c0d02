"""The unit sphere as the support of a distribution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints


class _Sphere(constraints.Constraint):
    """Vectors of unit length, up to rounding."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        if not value.is_floating_point():
            return torch.zeros(value.shape[:-1], dtype=torch.bool, device=value.device)
        # Never finer than float32 is: codes are often stored so, and doubled later.
        tolerance = max(64 * torch.finfo(value.dtype).eps * value.shape[-1] ** 0.5, 1e-5)
        on_sphere: Tensor = (torch.linalg.vector_norm(value, dim=-1) - 1).abs() <= tolerance
        return on_sphere


class _Concentration(constraints.Constraint):
    """Finite and not negative, with a trailing axis of 1."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return ((value >= 0) & (value < torch.inf)).squeeze(-1)


sphere = _Sphere()
concentration = _Concentration()
