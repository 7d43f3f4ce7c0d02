"""The uniform prior on the unit sphere (Davidson et al. 2018, arXiv:1804.00891)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.latent_space import Sphere
from zoo.distributions.hyperspherical_uniform import HypersphericalUniform
from zoo.distributions.sphere import sphere_quantiles
from zoo.errors import UnsupportedError
from zoo.priors.base import Given, Prior


class UniformSphere(Prior):
    """Uniform on the unit sphere of R^m, by surface area.

    >>> from zoo.settings import Settings
    >>> prior = UniformSphere(Settings(), Sphere(3), (1, 8, 8))
    >>> prior(Given(torch.zeros(()))).log_prob(torch.tensor([1.0, 0.0, 0.0])).exp().item()
    0.0795...
    """

    space = Sphere

    @property
    def variance(self) -> float:
        """1 / m on the sphere."""
        return 1 / self.dim

    def forward(self, given: Given) -> Distribution:
        like = given.like
        return HypersphericalUniform(
            self.dim - 1, validate_args=False, device=like.device, dtype=like.dtype
        )

    def quantiles(self, u: Tensor, given: Given) -> Tensor:
        """Of a circle or a sphere in R^3, see :func:`sphere_quantiles`."""
        return sphere_quantiles(u, self.dim)

    def sample(
        self, n: int, given: Given, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """n unit vectors, (n, m)."""
        if temperature != 1:
            raise UnsupportedError(
                "a uniform prior on the sphere has no standard deviation to scale: temperature "
                f"must be 1, got {temperature}"
            )
        like = given.like
        uniform = HypersphericalUniform(self.dim - 1, device=like.device, dtype=like.dtype)
        return uniform.sample((n,), generator)
