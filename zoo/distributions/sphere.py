"""The unit sphere as the support of a distribution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints


class _Sphere(constraints.Constraint):
    """Vectors of unit length, up to rounding."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        tolerance = 64 * torch.finfo(value.dtype).eps * value.shape[-1] ** 0.5
        on_sphere: Tensor = (torch.linalg.vector_norm(value, dim=-1) - 1).abs() <= tolerance
        return on_sphere


sphere = _Sphere()
