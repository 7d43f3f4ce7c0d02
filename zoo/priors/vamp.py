"""VampPrior (Tomczak & Welling 2018, arXiv:1705.07120)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.latent_space import Euclidean, LatentSpace
from zoo.distributions.finite_mixture import EqualMixture
from zoo.errors import UnsupportedError
from zoo.priors.base import Given, Prior
from zoo.randomness import noise_of
from zoo.settings import Settings


class Vamp(Prior):
    """p(z|c) = 1/K sum_k q(z|u_k, c), a mixture of the posteriors of K learned pseudo-inputs.

    Of images u_k = sigmoid(v_k), in [0, 1], of vectors u_k = v_k; at the start v_k ~ N(0, 1) for
    each pixel or number. Any posterior with a density will do. A flow's is asked for K codes that
    it did not draw, which inverts it.

    >>> from torch.distributions import Independent, Normal
    >>> from zoo.core.latent_space import Euclidean
    >>> prior = Vamp(Vamp.Config(components=5), Euclidean(64), (1, 8, 8))
    >>> def posterior(x: Tensor) -> Distribution:
    ...     return Independent(Normal(x.flatten(1), 1.0), 1)
    >>> prior(Given(torch.zeros(()), posterior=posterior)).log_prob(torch.zeros(3, 64)).shape
    torch.Size([3])
    """

    space = Euclidean
    of_posteriors = True

    class Config(Settings):
        """``components`` K: each costs every step what encoding one example costs."""

        components: int = Field(100, ge=1, le=10_000)

    def __init__(self, config: Config, space: LatentSpace, input_shape: tuple[int, ...]) -> None:
        super().__init__(config, space, input_shape)
        self.are_images = len(input_shape) == 3
        self.values = nn.Parameter(torch.randn(config.components, *input_shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """u_k, (K, *input_shape)."""
        return self.values.sigmoid() if self.are_images else self.values

    def forward(self, given: Given) -> Distribution:
        """Raises UnsupportedError for a model whose latents are no posteriors of x alone."""
        components = _posterior(given, self.pseudo_inputs)  # (K,), or (B, K)
        return EqualMixture(components, given.like)

    @torch.no_grad()
    def sample(
        self, n: int, given: Given, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """n draws (n, D), each from the posterior of a pseudo-input of its own.

        Raises UnsupportedError for a temperature other than 1: not all posteriors have a spread.
        """
        if temperature != 1:
            return super().sample(n, given, temperature, generator)
        device = self.values.device
        chosen = torch.randint(len(self.values), (n,), generator=generator, device=device)
        with noise_of(generator, device):
            drawn: Tensor = _posterior(
                given, self.pseudo_inputs[chosen, None]
            ).sample()  # (n, 1, D)
        return drawn.squeeze(1)


def _posterior(given: Given, x: Tensor) -> Distribution:
    if given.posterior is None:
        raise UnsupportedError(
            "the prior 'vamp' is a mixture of posteriors q(z|x), and the latents of this model "
            "have none of x alone; choose the prior 'mixture', or a variant with one latent vector"
        )
    return given.posterior(x)
