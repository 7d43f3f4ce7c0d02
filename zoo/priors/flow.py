"""What priors that transform a standard normal share (Dinh et al. 2017, arXiv:1605.08803)."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.core.latent_space import Euclidean
from zoo.distributions.flow import Flow
from zoo.nn.flows import Autoregressive
from zoo.posteriors.gaussian import diagonal_normal
from zoo.priors.base import Given, Prior


class FlowPrior(Prior):
    """p(z) = N(f(z); 0, I) |det df/dz|, f an invertible map that a subclass makes.

    It starts close to N(0, I).
    """

    space = Euclidean
    flow: Autoregressive
    """f, of codes to noise."""

    def forward(self, given: Given) -> Flow:
        base = diagonal_normal(given.like.new_zeros(self.dim), given.like.new_ones(self.dim))
        return Flow(base, to_codes=self.flow.inverse(), to_noise=self.flow.map())

    def quantiles(self, u: Tensor, given: Given) -> Tensor:
        """The codes (N, D) of a standard normal's quantiles."""
        codes, _ = self.forward(given).to_codes(torch.special.ndtri(u))
        return codes

    @torch.no_grad()
    def sample(
        self, n: int, given: Given, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """The codes (n, D) of noise from N(0, temperature^2 I)."""
        like = given.like
        shape = (n, self.dim)
        noise = torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
        codes, _ = self.forward(given).to_codes(temperature * noise)
        return codes
