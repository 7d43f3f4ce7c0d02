"""8-bit colours, each a mixture of discretised logistics (PixelCNN++, arXiv:1701.05517)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from zoo.distributions.mixture_of_discretized_logistics import MixtureOfDiscretizedLogistics
from zoo.distributions.precision import full_precision
from zoo.errors import ConfigError
from zoo.likelihoods.base import Likelihood
from zoo.settings import Settings


class DiscretizedLogisticMixture(Likelihood):
    """Maps (..., K (C+1)(C+2)/2, H, W) to pixels that are mixtures of K discretised logistics.

    A probability mass, linear from channel to channel, for any number of channels C. For each
    component a logit, C locations, C scales and C(C-1)/2 coefficients between channels.
    """

    reads = "unit"
    measure = "mass"

    class Config(Settings):
        """``components`` K of each pixel's mixture."""

        components: int = Field(10, ge=1, le=100)

    def __init__(self, config: Config, shape: tuple[int, ...]) -> None:
        super().__init__(config, shape)
        if len(shape) != 3:
            raise ConfigError(
                f"the likelihood 'discretized-logistic-mixture' is one of images (C, H, W), the "
                f"examples are {shape}; choose 'gaussian'"
            )
        self.components = config.components

    @property
    def channels(self) -> int:
        return self.components * (self.shape[0] + 1) * (self.shape[0] + 2) // 2

    def forward(self, parameters: Tensor) -> Distribution:
        maps = torch.unflatten(full_precision(parameters), -3, (self.components, -1))
        channels = self.shape[0]
        sizes = [1, channels, channels, channels * (channels - 1) // 2]
        logits, offset, log_scale, coefficients = maps.split_with_sizes(sizes, -3)
        # Start in greys spread evenly from black to white, each a quarter of the range wide.
        grey = torch.arange(0.5, self.components, dtype=maps.dtype, device=maps.device)
        loc = (grey / self.components)[:, None, None, None] + 0.25 * offset  # (..., K, C, H, W)
        return MixtureOfDiscretizedLogistics(
            logits.squeeze(-3), loc, log_scale - 2.0, coefficients.tanh(), validate_args=False
        )
