"""Neural spline flow (Durkan et al. 2019, arXiv:1906.04032)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

from zoo.distributions.flow import Flow
from zoo.distributions.precision import full_precision
from zoo.nn.flows import Autoregressive
from zoo.posteriors.base import Projection
from zoo.posteriors.flow import FlowPosterior
from zoo.posteriors.gaussian import MIN_SCALE, diagonal_normal
from zoo.settings import Settings


class Spline(FlowPosterior):
    """z = mu(x) + sigma(x) f(e; x) for e ~ N(0, I), f made of T autoregressive maps.

    An entry is moved by a rational-quadratic spline on [-5, 5], beyond which it stays where it is;
    its ``bins`` widths, heights and slopes are a network's, of the entries before it and of
    ``context`` numbers of x. The splines stand before the scale, so that noise of any posterior,
    however narrow, falls into all bins. A draw is T passes, the density of other codes D T.

    >>> posterior = Spline(Spline.Config(), lambda n: torch.nn.Linear(128, n), 10)
    >>> posterior(torch.zeros(5, 128), None).rsample().shape
    torch.Size([5, 10])
    """

    small = {"transforms": 2, "context": 8, "width": 16, "bins": 4}

    class Config(Settings):
        """``transforms`` T, each a network of two hidden layers of ``width`` units."""

        transforms: int = Field(2, ge=1, le=64)
        context: int = Field(64, ge=1, le=4096)
        width: int = Field(128, ge=1, le=8192)
        bins: int = Field(8, ge=2, le=256)

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        self.sizes = [dim, dim, config.context]
        self.projection = project(sum(self.sizes))
        sizes = config.context, config.transforms, config.width
        self.flow = Autoregressive(dim, *sizes, bins=config.bins)

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        projected = full_precision(self.projection(features))  # (..., 2 D + context)
        mean, raw_scale, context = torch.split(projected, self.sizes, dim=-1)
        scale = softplus(raw_scale) + MIN_SCALE
        log_det = scale.log().sum(-1)  # (...)
        bend, straighten = self.flow.map(context), self.flow.inverse(context)

        def to_codes(noise: Tensor) -> tuple[Tensor, Tensor]:
            bent, change = bend(noise)
            return torch.addcmul(mean, scale, bent), change + log_det

        def to_noise(codes: Tensor) -> tuple[Tensor, Tensor]:
            noise, change = straighten((codes - mean) / scale)
            return noise, change - log_det

        base = diagonal_normal(torch.zeros_like(mean), torch.ones_like(mean))
        return Flow(base, to_codes, to_noise)
