"""Affine couplings as a prior (RealNVP: Dinh et al. 2017, arXiv:1605.08803)."""

from __future__ import annotations

from pydantic import Field

from zoo.nn.flows import Autoregressive
from zoo.priors.flow import FlowPrior
from zoo.settings import Settings


class RealNVP(FlowPrior):
    """f made of T affine couplings: one half of the entries is scaled and moved as the other says.

    The halves are drawn anew for each coupling. The half that says is itself scaled and moved, by
    constants, and scales lie within [0.1, 10].

    >>> import torch
    >>> from zoo.core.latent_space import Euclidean
    >>> from zoo.priors import Given
    >>> prior = RealNVP(RealNVP.Config(transforms=2), Euclidean(10), (1, 8, 8))
    >>> prior.sample(3, Given(torch.zeros(())), 1.0, None).shape
    torch.Size([3, 10])
    """

    small = {"transforms": 2, "width": 16}

    class Config(Settings):
        """``transforms`` T, each a network of two hidden layers of ``width`` units."""

        transforms: int = Field(8, ge=1, le=64)
        width: int = Field(128, ge=1, le=8192)

    config: Config

    def make_flow(self, context: int) -> Autoregressive:
        sizes = self.config.transforms, self.config.width
        return Autoregressive(self.dim, context, *sizes, groups=2)
