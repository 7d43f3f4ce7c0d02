"""The uniform prior on a product of spheres (Davidson et al. 2019, arXiv:1910.02912)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.latent_space import Spheres
from zoo.distributions.hyperspherical_uniform import HypersphericalUniform
from zoo.distributions.product import ProductDistribution
from zoo.distributions.sphere import sphere_quantiles
from zoo.priors.base import Given, Prior
from zoo.settings import Settings


class UniformSpheres(Prior):
    """Uniform on each of several unit spheres, independently; a density by surface area.

    >>> import torch
    >>> prior = UniformSpheres(Settings(), Spheres(3, 2), (1, 8, 8))
    >>> z = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0])
    >>> prior(Given(torch.zeros(()))).log_prob(z).exp().item()  # 1 / (4 pi) / (2 pi)
    0.01266...
    """

    space = Spheres

    def __init__(self, config: Settings, space: Spheres, input_shape: tuple[int, ...]) -> None:
        super().__init__(config, space, input_shape)
        self.widths = [part.dim for part in space.parts]

    @property
    def variance(self) -> float | None:
        """1 / m where all spheres are in R^m."""
        return 1 / self.widths[0] if len(set(self.widths)) == 1 else None

    def quantiles(self, u: Tensor, given: Given) -> Tensor:
        """Those of each sphere, side by side; see :func:`sphere_quantiles`."""
        parts = torch.split(u, [m - 1 for m in self.widths], dim=-1)  # (N, m_i - 1) each
        codes = [sphere_quantiles(part, m) for part, m in zip(parts, self.widths, strict=True)]
        return torch.cat(codes, dim=-1)  # (N, D)

    def forward(self, given: Given) -> Distribution:
        device, dtype = given.like.device, given.like.dtype
        spheres = [HypersphericalUniform(m - 1, False, device, dtype) for m in self.widths]
        return ProductDistribution(spheres)
