"""What priors that transform a standard normal share (Dinh et al. 2017, arXiv:1605.08803)."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from zoo.core.latent_space import Euclidean, LatentSpace
from zoo.distributions.flow import Flow
from zoo.nn.flows import Autoregressive
from zoo.posteriors.gaussian import diagonal_normal
from zoo.priors.base import Given, Prior
from zoo.settings import Settings


class FlowPrior(Prior):
    """p(z|c) = N(f(z; c); 0, I) |det df/dz|, f an invertible map that a subclass makes.

    It starts close to N(0, I).
    """

    space = Euclidean

    def __init__(self, config: Settings, space: LatentSpace, input_shape: tuple[int, ...]) -> None:
        super().__init__(config, space, input_shape)
        self.config = config
        self.flow = self.make_flow(0)

    @abstractmethod
    def make_flow(self, context: int) -> Autoregressive:
        """f, of codes to noise, told so many numbers."""

    def tell(self, width: int) -> None:
        self.flow = self.make_flow(width)

    def forward(self, given: Given) -> Flow:
        told, shape = given.condition, (*_places(given.condition), self.dim)
        base = diagonal_normal(given.like.new_zeros(shape), given.like.new_ones(shape))
        return Flow(base, to_codes=self.flow.inverse(told), to_noise=self.flow.map(told))

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


def _places(condition: Tensor | None) -> tuple[int, ...]:
    """Those of the examples that are told something."""
    return () if condition is None else condition.shape[:-1]
