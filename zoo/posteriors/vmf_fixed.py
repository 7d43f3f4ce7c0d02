"""The von Mises-Fisher posterior of one concentration (Xu & Durrett 2018, arXiv:1808.10805)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import normalize

from zoo.core.latent_space import Sphere
from zoo.distributions.precision import full_precision
from zoo.distributions.von_mises_fisher import TabulatedVonMisesFisher
from zoo.posteriors.base import Posterior, Projection
from zoo.settings import Settings


class FixedVMF(Posterior):
    """Around a mean direction mu(x), with one given concentration.

    Its KL to the uniform prior is a constant above 0, the same for every x: it cannot vanish.

    >>> import torch
    >>> config = FixedVMF.Config(concentration=20.0)
    >>> posterior = FixedVMF(config, lambda n: torch.nn.Linear(128, n), 16)
    >>> posterior(torch.ones(5, 128), None).rsample().shape
    torch.Size([5, 16])
    """

    space = Sphere

    class Config(Settings):
        """The KL grows with ``concentration``."""

        concentration: float = Field(32.0, ge=0, le=1e7)

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        self.concentration = config.concentration
        self.projection = project(dim)

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        loc = normalize(full_precision(self.projection(features)), dim=-1)
        return TabulatedVonMisesFisher(loc, self.concentration, validate_args=False)
