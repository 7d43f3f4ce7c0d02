"""The power spherical posterior (De Cao & Aziz 2020, arXiv:2006.04437): no rejection."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from zoo.core.latent_space import Sphere
from zoo.distributions import PowerSpherical
from zoo.posteriors.base import Posterior, Projection
from zoo.posteriors.directional import direction_and_concentration
from zoo.settings import Settings


class PowerSphericalPosterior(Posterior):
    """Around a mean direction mu(x), with a concentration exp(.) + 1 for each x.

    >>> import torch
    >>> posterior = PowerSphericalPosterior(Settings(), lambda n: torch.nn.Linear(128, n), 11)
    >>> posterior(torch.ones(5, 128), None).rsample().shape
    torch.Size([5, 11])
    """

    space = Sphere

    def __init__(self, config: Settings, project: Projection, dim: int) -> None:
        super().__init__()
        self.projection = project(dim + 1)

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        loc, scale = direction_and_concentration(self.projection(features))
        return PowerSpherical(loc, scale, validate_args=False)
