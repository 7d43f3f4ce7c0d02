"""Independent normal values of one standard deviation."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus

from zoo.distributions.precision import full_precision
from zoo.likelihoods.base import Likelihood
from zoo.nn.layers import Layer
from zoo.settings import Settings

MIN_SCALE = 1e-4


class Gaussian(Likelihood):
    """Means (..., *shape) to independent normals; a density on real numbers.

    >>> likelihood = Gaussian(Gaussian.Config(scale=0.1), (3,))
    >>> likelihood(torch.zeros(5, 3)).log_prob(torch.zeros(3))[0]
    tensor(4.1509)
    """

    reads = "real"
    measure = "density"

    class Config(Settings):
        """One standard deviation for all values.

        With ``learned`` it starts at ``scale`` and is fitted (sigma-VAE, arXiv:2006.13202);
        otherwise it stays, and log p(x|z) is minus the squared error over 2 scale^2 plus a
        constant.
        """

        scale: float = Field(0.5**0.5, ge=1e-3, le=1e3)
        learned: bool = False

    def __init__(self, config: Config, shape: tuple[int, ...]) -> None:
        super().__init__(config, shape)
        excess = config.scale - MIN_SCALE
        raw = excess + math.log(-math.expm1(-excess))  # softplus inverted
        self.raw_scale = nn.Parameter(torch.tensor(raw), requires_grad=config.learned)

    def forward(self, parameters: Tensor) -> Distribution:
        mean = full_precision(parameters)
        scale = (softplus(full_precision(self.raw_scale)) + MIN_SCALE).expand_as(mean)
        values = Normal(mean, scale, validate_args=False)
        return Independent(values, len(self.shape), validate_args=False)

    def estimate_layers(self) -> list[Layer]:
        return []
