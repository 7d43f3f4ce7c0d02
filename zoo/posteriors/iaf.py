"""Inverse autoregressive flow (Kingma et al. 2016, arXiv:1606.04934)."""

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


class IAF(FlowPosterior):
    """z_0 ~ N(mu(x), diag sigma(x)^2), then z_t = s_t z_(t-1) + m_t for t = 1 ... T.

    s_t and m_t of an entry are a network's, of the entries of z_(t-1) before it and of ``context``
    numbers of x; the order of the entries is reversed between steps. A draw is T passes, the
    density of other codes D T. s_t lies within [0.1, 10], where the paper's gate lies within
    [0, 1], and both start close to 1.

    >>> posterior = IAF(IAF.Config(), lambda n: torch.nn.Linear(128, n), 10)
    >>> posterior(torch.zeros(5, 128), None).rsample().shape
    torch.Size([5, 10])
    """

    small = {"transforms": 2, "context": 8, "width": 16}

    class Config(Settings):
        """``transforms`` T, each a network of two hidden layers of ``width`` units."""

        transforms: int = Field(4, ge=1, le=64)
        context: int = Field(64, ge=1, le=4096)
        width: int = Field(128, ge=1, le=8192)

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        self.sizes = [dim, dim, config.context]
        self.projection = project(sum(self.sizes))
        self.flow = Autoregressive(dim, config.context, config.transforms, config.width)

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        projected = full_precision(self.projection(features))  # (..., 2 D + context)
        mean, raw_scale, context = torch.split(projected, self.sizes, dim=-1)
        base = diagonal_normal(mean, softplus(raw_scale) + MIN_SCALE)
        return Flow(base, self.flow.map(context), self.flow.inverse(context))
