"""The uniform distribution on the unit sphere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, register_kl
from torch.nn.functional import normalize

from zoo.distributions.bessel_ratio import log_surface_area
from zoo.distributions.directional import as_size, broadcast_shape, check_same_sphere
from zoo.distributions.noise import standard_normal
from zoo.distributions.sphere import sphere


class HypersphericalUniform(Distribution):
    """Uniform on the sphere S^dim in R^(dim + 1); the density is with respect to surface area.

    ``dim`` is the sphere's own dimension, one less than the width of a draw.

    >>> uniform = HypersphericalUniform(2)
    >>> uniform.sample((5,)).shape, round(uniform.entropy().exp().item() / torch.pi, 4)
    (torch.Size([5, 3]), 4.0)
    """

    arg_constraints = {}
    support = sphere
    has_rsample = True  # nothing to differentiate by

    def __init__(
        self,
        dim: int,
        validate_args: bool | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        if dim < 1:
            raise ValueError(f"dim is the dimension of the sphere, at least 1, got {dim}")
        self.dim = dim
        self.device = torch.device(device)
        self.dtype = dtype or torch.get_default_dtype()
        super().__init__(event_shape=torch.Size([dim + 1]), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> HypersphericalUniform:
        """The same distribution with a batch shape."""
        new = HypersphericalUniform(self.dim, self._validate_args, self.device, self.dtype)
        new._batch_shape = torch.Size(batch_shape)
        return new

    @property
    def mean(self) -> Tensor:
        """The zero vector."""
        return torch.zeros(self._extended_shape(), dtype=self.dtype, device=self.device)

    @property
    def variance(self) -> Tensor:
        """1 / (dim + 1) for each coordinate."""
        return torch.full_like(self.mean, 1 / (self.dim + 1))

    def rsample(self, sample_shape: Any = (), generator: torch.Generator | None = None) -> Tensor:
        """Unit vectors (*sample_shape, *batch_shape, dim + 1)."""
        shape = self._extended_shape(as_size(sample_shape))
        noise = standard_normal(shape, self.dtype, self.device, generator)
        return normalize(noise, dim=-1)

    def sample(self, sample_shape: Any = (), generator: torch.Generator | None = None) -> Tensor:
        """Unit vectors (*sample_shape, *batch_shape, dim + 1)."""
        return self.rsample(sample_shape, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        """Minus the log of the surface area, the same everywhere."""
        if self._validate_args:
            self._validate_sample(value)
        shape = broadcast_shape(value.shape[:-1], self.batch_shape)
        return value.new_full(shape, -log_surface_area(self.dim + 1))

    def entropy(self) -> Tensor:
        """The log of the surface area, in nats."""
        area = log_surface_area(self.dim + 1)
        return torch.full(self.batch_shape, area, dtype=self.dtype, device=self.device)


@register_kl(HypersphericalUniform, HypersphericalUniform)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_of_equals(q: HypersphericalUniform, p: HypersphericalUniform) -> Tensor:
    """0: there is one uniform distribution."""
    check_same_sphere(q.dim + 1, p.dim + 1)
    return torch.zeros_like(q.entropy() + p.entropy())
