"""Spline couplings as a prior (Durkan et al. 2019, arXiv:1906.04032)."""

from __future__ import annotations

from pydantic import Field

from zoo.nn.flows import Autoregressive
from zoo.priors.flow import FlowPrior
from zoo.settings import Settings


class Spline(FlowPrior):
    """f made of T couplings by rational-quadratic splines on [-5, 5].

    One half of the entries, drawn anew for each coupling, is moved by splines of which the other
    half says the ``bins`` widths, heights and slopes; those that move the other half are constants.
    Entries beyond the interval stay where they are.

    >>> import torch
    >>> from zoo.core.latent_space import Euclidean
    >>> from zoo.priors import Given
    >>> prior = Spline(Spline.Config(transforms=2), Euclidean(10), (1, 8, 8))
    >>> prior.sample(3, Given(torch.zeros(())), 1.0, None).shape
    torch.Size([3, 10])
    """

    small = {"transforms": 2, "width": 16, "bins": 4}

    class Config(Settings):
        """``transforms`` T, each a network of two hidden layers of ``width`` units."""

        transforms: int = Field(4, ge=1, le=64)
        width: int = Field(128, ge=1, le=8192)
        bins: int = Field(8, ge=2, le=256)

    config: Config

    def make_flow(self, context: int) -> Autoregressive:
        sizes = self.config.transforms, self.config.width
        return Autoregressive(self.dim, context, *sizes, groups=2, bins=self.config.bins)
