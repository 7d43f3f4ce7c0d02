"""The standard normal prior (Kingma & Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence, register_kl

from zoo.core.latent_space import Euclidean
from zoo.priors.base import Given, Prior


class StandardGaussian(Independent):  # type: ignore[type-arg]
    """N(0, I), known to be that: its KL takes half the operations of the general one."""


@register_kl(Independent, StandardGaussian)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_to_standard_gaussian(q: Any, p: StandardGaussian) -> Tensor:
    """sum over dimensions of (mu^2 + sigma^2 - 1) / 2 - log sigma for a Gaussian q."""
    if not isinstance(q.base_dist, Normal):
        general: Tensor = kl_divergence(q.base_dist, p.base_dist)
        return general.sum(-1)
    mean, scale = q.base_dist.loc, q.base_dist.scale
    return (0.5 * (mean.square() + scale.square() - 1) - scale.log()).sum(-1)


def _remember_kl() -> None:
    """Torch's search among registered KLs, whose result it keeps, is no part of a compiled graph.

    Without this the first step of a run would be compiled in pieces, and so would all others.
    """
    unit = Normal(torch.zeros(1), torch.ones(1), validate_args=False)
    kl_divergence(Independent(unit, 1), StandardGaussian(unit, 1))


_remember_kl()


class StandardNormal(Prior):
    """N(0, I) over D dimensions.

    >>> from zoo.settings import Settings
    >>> prior = StandardNormal(Settings(), Euclidean(10), (1, 8, 8))
    >>> prior(Given(torch.zeros(()))).log_prob(torch.zeros(10)).item()
    -9.189...
    """

    space = Euclidean

    @property
    def variance(self) -> float:
        return 1.0

    def forward(self, given: Given) -> Distribution:
        mean, scale = given.like.new_zeros(self.dim), given.like.new_ones(self.dim)
        return StandardGaussian(Normal(mean, scale, validate_args=False), 1, validate_args=False)

    def quantiles(self, u: Tensor, given: Given) -> Tensor:
        """The inverse of the normal distribution function for each coordinate, (N, D)."""
        codes: Tensor = torch.special.ndtri(u)
        return codes

    def sample(
        self, n: int, given: Given, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """n draws from N(0, temperature^2 I), (n, D)."""
        like = given.like
        shape = (n, self.dim)
        noise = torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
        return temperature * noise
