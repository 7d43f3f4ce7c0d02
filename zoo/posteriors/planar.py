"""Planar flow (Rezende & Mohamed 2015, arXiv:1505.05770)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

from zoo.distributions.flow import Flow, composed
from zoo.distributions.planar import Planar
from zoo.distributions.precision import full_precision
from zoo.posteriors.base import Projection
from zoo.posteriors.flow import FlowPosterior
from zoo.posteriors.gaussian import MIN_SCALE, diagonal_normal
from zoo.settings import Settings


class PlanarPosterior(FlowPosterior):
    """z_0 ~ N(mu(x), diag sigma(x)^2), then z_k = z_(k-1) + v_k tanh(w_k . z_(k-1) + b_k).

    All K layers' parameters are read from the features, as in the paper's section 4.2; see
    :class:`Planar` for what keeps them invertible. The density of other codes inverts each layer
    by bisection.

    >>> posterior = PlanarPosterior(PlanarPosterior.Config(), lambda n: torch.nn.Linear(128, n), 10)
    >>> posterior(torch.zeros(5, 128), None).rsample().shape
    torch.Size([5, 10])
    """

    small = {"layers": 2}

    class Config(Settings):
        """``layers`` K."""

        layers: int = Field(10, ge=1, le=1024)

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        self.sizes = [dim, dim, *[dim, dim, 1] * config.layers]
        self.projection = project(sum(self.sizes))

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        projected = full_precision(self.projection(features))  # (..., 2 D + K (2 D + 1))
        mean, raw_scale, *rest = torch.split(projected, self.sizes, dim=-1)
        layers = [Planar(*rest[n : n + 3]) for n in range(0, len(rest), 3)]
        base = diagonal_normal(mean, softplus(raw_scale) + MIN_SCALE)
        return Flow(
            base,
            lambda noise: composed([layer.map for layer in layers], noise),
            lambda codes: composed([layer.inverse for layer in reversed(layers)], codes),
        )
