"""Pixels in (0, 1): the continuous Bernoulli (Loaiza-Ganem & Cunningham, arXiv:1907.06845)."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import ContinuousBernoulli, Distribution, Independent

import zoo
from zoo.distributions.precision import full_precision
from zoo.errors import ConfigError
from zoo.likelihoods import Likelihood
from zoo.settings import Settings


@zoo.register("continuous-bernoulli", summary="Independent pixels in (0, 1); a density")
class ContinuousBernoulliPixels(Likelihood):
    reads, measure = "real", "density"

    def __init__(self, config: Settings, shape: tuple[int, ...]) -> None:
        super().__init__(config, shape)
        if len(shape) != 3:
            raise ConfigError(f"'continuous-bernoulli' is of images (C, H, W), got {shape}")

    def forward(self, parameters: Tensor) -> Distribution:
        pixels = ContinuousBernoulli(logits=full_precision(parameters), validate_args=False)
        return Independent(pixels, 3, validate_args=False)
