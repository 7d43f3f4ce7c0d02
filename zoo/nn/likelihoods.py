"""Modules that turn a decoder's output into p(x|z), each a normalised density or mass.

For images (C, H, W) a decoder makes ``parameter_maps(C)`` maps, (..., parameter_maps(C), H, W).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus

from zoo.distributions import (
    BernoulliImage,
    DiscretizedLogistic,
    MixtureOfDiscretizedLogistics,
)
from zoo.distributions.precision import full_precision
from zoo.model import InputKind
from zoo.nn.backbones import by_name
from zoo.nn.heads import MIN_SCALE
from zoo.settings import Settings


class BernoulliConfig(Settings):
    """Pixels in {0, 1}; a probability mass."""

    name: Literal["bernoulli"] = "bernoulli"


class GaussianConfig(Settings):
    """Intensities in [0, 1]; a density. One standard deviation for all pixels.

    With ``learned`` it starts at ``scale`` and is fitted (sigma-VAE, arXiv:2006.13202); otherwise
    it stays, and log p(x|z) is minus the squared error over 2 scale^2 plus a constant.
    """

    name: Literal["gaussian"] = "gaussian"
    scale: float = Field(0.5**0.5, ge=1e-3, le=1e3)
    learned: bool = False


class DiscretizedLogisticConfig(Settings):
    """8-bit intensities 0, 1/255, ..., 1; a probability mass. A scale for each pixel."""

    name: Literal["discretized-logistic"] = "discretized-logistic"


class DiscretizedLogisticMixtureConfig(Settings):
    """8-bit colours; a probability mass. A mixture for each pixel, linear from channel to channel.

    PixelCNN++ (arXiv:1701.05517), for any number of channels.
    """

    name: Literal["discretized-logistic-mixture"] = "discretized-logistic-mixture"
    components: int = Field(10, ge=1, le=100)


class CategoricalConfig(Settings):
    """One token of a vocabulary; a probability mass. Of text, for models that read it."""

    name: Literal["categorical"] = "categorical"


AnyLikelihoodConfig = (
    BernoulliConfig | GaussianConfig | DiscretizedLogisticConfig | DiscretizedLogisticMixtureConfig
)
Likelihood = Annotated[AnyLikelihoodConfig, Field(discriminator="name"), BeforeValidator(by_name)]
EVENT_DIMS = 3  # channels, height, width


class BernoulliLikelihood(nn.Module):
    """Logits (..., C, H, W) to independent Bernoulli pixels."""

    input_kind: InputKind = "binary"

    def parameter_maps(self, channels: int) -> int:
        return channels

    def forward(self, logits: Tensor) -> Distribution:
        return BernoulliImage(full_precision(logits), validate_args=False)


class GaussianLikelihood(nn.Module):
    """Means (..., C, H, W) to independent Gaussian pixels of one standard deviation."""

    input_kind: InputKind = "unit"

    def __init__(self, config: GaussianConfig) -> None:
        super().__init__()
        excess = config.scale - MIN_SCALE
        raw = excess + math.log(-math.expm1(-excess))  # softplus inverted
        self.raw_scale = nn.Parameter(torch.tensor(raw), requires_grad=config.learned)

    def parameter_maps(self, channels: int) -> int:
        return channels

    def forward(self, mean: Tensor) -> Distribution:
        mean = full_precision(mean)
        scale = (softplus(full_precision(self.raw_scale)) + MIN_SCALE).expand_as(mean)
        pixels = Normal(mean, scale, validate_args=False)
        return Independent(pixels, EVENT_DIMS, validate_args=False)


class DiscretizedLogisticLikelihood(nn.Module):
    """Maps (..., 2C, H, W) to independent discretised logistic pixels."""

    input_kind: InputKind = "unit"

    def parameter_maps(self, channels: int) -> int:
        return 2 * channels

    def forward(self, maps: Tensor) -> Distribution:
        offset, log_scale = full_precision(maps).chunk(2, dim=-3)
        # Start in mid-grey and a quarter of the range wide.
        pixels = DiscretizedLogistic(0.5 + 0.25 * offset, log_scale - 2.0, validate_args=False)
        return Independent(pixels, EVENT_DIMS, validate_args=False)


class DiscretizedLogisticMixtureLikelihood(nn.Module):
    """Maps (..., K (C+1)(C+2)/2, H, W) to pixels that are mixtures of K discretised logistics.

    For each component a logit, C locations, C scales and C(C-1)/2 coefficients between channels.
    """

    input_kind: InputKind = "unit"

    def __init__(self, config: DiscretizedLogisticMixtureConfig) -> None:
        super().__init__()
        self.components = config.components

    def parameter_maps(self, channels: int) -> int:
        return self.components * (channels + 1) * (channels + 2) // 2

    def forward(self, maps: Tensor) -> Distribution:
        maps = torch.unflatten(full_precision(maps), -3, (self.components, -1))
        channels = (math.isqrt(8 * maps.shape[-3] + 1) - 3) // 2  # parameter_maps inverted
        sizes = [1, channels, channels, channels * (channels - 1) // 2]
        logits, offset, log_scale, coefficients = maps.split_with_sizes(sizes, -3)
        # Start in greys spread evenly from black to white, each a quarter of the range wide.
        grey = torch.arange(0.5, self.components, dtype=maps.dtype, device=maps.device)
        loc = (grey / self.components)[:, None, None, None] + 0.25 * offset
        return MixtureOfDiscretizedLogistics(
            logits.squeeze(-3), loc, log_scale - 2.0, coefficients.tanh(), validate_args=False
        )


AnyLikelihood = (
    BernoulliLikelihood
    | GaussianLikelihood
    | DiscretizedLogisticLikelihood
    | DiscretizedLogisticMixtureLikelihood
)


def build_likelihood(config: AnyLikelihoodConfig) -> AnyLikelihood:
    """The likelihood module a configuration names."""
    if isinstance(config, BernoulliConfig):
        return BernoulliLikelihood()
    if isinstance(config, GaussianConfig):
        return GaussianLikelihood(config)
    if isinstance(config, DiscretizedLogisticMixtureConfig):
        return DiscretizedLogisticMixtureLikelihood(config)
    return DiscretizedLogisticLikelihood()
