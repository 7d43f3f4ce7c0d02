"""A learned mixture of Gaussians as the prior."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from zoo.core.latent_space import Euclidean, LatentSpace
from zoo.posteriors.gaussian import MIN_SCALE, diagonal_normal
from zoo.priors.base import Given, Prior
from zoo.settings import Settings

SPREAD = 0.5
"""Of the means at the start."""


class Mixture(Prior):
    """p(z) = sum_k w_k N(z; mu_k, diag sigma_k^2), all of it learned.

    At the start the weights are equal and mu_k ~ N(0, 0.5^2 I); sigma_k is such that codes have
    unit variance.

    >>> from zoo.core.latent_space import Euclidean
    >>> prior = Mixture(Mixture.Config(components=5), Euclidean(10), (1, 8, 8))
    >>> prior(Given(torch.zeros(()))).log_prob(torch.zeros(3, 10)).shape
    torch.Size([3])
    """

    space = Euclidean

    class Config(Settings):
        """``components`` K."""

        components: int = Field(50, ge=1, le=10_000)

    def __init__(self, config: Config, space: LatentSpace, input_shape: tuple[int, ...]) -> None:
        super().__init__(config, space, input_shape)
        shape = (config.components, space.dim)
        self.logits = nn.Parameter(torch.zeros(config.components))
        self.means = nn.Parameter(SPREAD * torch.randn(shape))
        self.log_scales = nn.Parameter(torch.full(shape, 0.5 * math.log(1 - SPREAD**2)))

    @property
    def scales(self) -> Tensor:
        """Standard deviations, (K, D)."""
        return self.log_scales.exp() + MIN_SCALE

    def forward(self, given: Given) -> Distribution:
        weights = Categorical(logits=self.logits, validate_args=False)
        components = diagonal_normal(self.means, self.scales)
        return MixtureSameFamily(weights, components, validate_args=False)

    @torch.no_grad()
    def sample(
        self, n: int, given: Given, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """n draws (n, D); ``temperature`` scales the components' deviations alone."""
        at_least = max(n, 1)  # torch draws no fewer
        weights = self.logits.softmax(0)
        chosen = weights.multinomial(at_least, replacement=True, generator=generator)[:n]
        means, scales = self.means[chosen], self.scales[chosen]
        noise = torch.randn(
            means.shape, generator=generator, device=means.device, dtype=means.dtype
        )
        return torch.addcmul(means, temperature * scales, noise)
