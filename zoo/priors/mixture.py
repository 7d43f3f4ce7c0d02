"""A learned mixture of Gaussians as the prior (Jiang et al. 2016, arXiv:1611.05148)."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from zoo.core.latent_space import Euclidean, LatentSpace
from zoo.distributions.finite_mixture import FiniteMixture
from zoo.distributions.precision import full_precision
from zoo.posteriors.gaussian import MIN_SCALE, diagonal_normal
from zoo.priors.base import Given, Prior
from zoo.settings import Settings

SPREAD = 0.5
"""Of the means at the start."""


class Mixture(Prior):
    """p(z|c) = sum_k w_k(c) N(z; mu_k, diag sigma_k^2), all of it learned.

    The weights are softmax(b + A c): what is told chooses among components that all share. At the
    start the weights are equal and mu_k ~ N(0, 0.5^2 I); sigma_k is such that codes have
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
        self.means = nn.Parameter(torch.randn(shape).mul_(SPREAD))
        self.log_scales = nn.Parameter(torch.full(shape, 0.5 * math.log(1 - SPREAD**2)))

    def tell(self, width: int) -> None:
        self.of_condition = nn.Linear(width, len(self.logits), bias=False)
        nn.init.zeros_(self.of_condition.weight)

    def weights(self, condition: Tensor | None) -> Categorical:
        """w_k, (K,), or of each example told (B, C), (B, K)."""
        logits = self.logits
        if condition is not None:
            logits = logits + self.of_condition(condition)
        return Categorical(logits=full_precision(logits), validate_args=False)

    @property
    def scales(self) -> Tensor:
        """Standard deviations, (K, D)."""
        return self.log_scales.exp() + MIN_SCALE

    def forward(self, given: Given) -> Distribution:
        weights = self.weights(given.condition)
        shape = (*weights.batch_shape, *self.means.shape)  # (K, D) or (B, K, D)
        components = diagonal_normal(self.means.expand(shape), self.scales.expand(shape))
        return FiniteMixture(weights, components)

    @torch.no_grad()
    def sample(
        self, n: int, given: Given, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """n draws (n, D); ``temperature`` scales the components' deviations alone."""
        at_least = max(n, 1)  # torch draws no fewer
        weights = self.weights(given.condition).probs  # (K,) or (B, K)
        if weights.ndim == 2:
            chosen = weights.multinomial(1, generator=generator).squeeze(1)  # (n,)
        else:
            chosen = weights.multinomial(at_least, replacement=True, generator=generator)[:n]
        means, scales = self.means[chosen], self.scales[chosen]  # (n, D) each
        noise = torch.randn(
            means.shape, generator=generator, device=means.device, dtype=means.dtype
        )
        return torch.addcmul(means, temperature * scales, noise)
