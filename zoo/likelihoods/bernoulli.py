"""Independent binary pixels."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from zoo.distributions import BernoulliImage
from zoo.distributions.precision import full_precision
from zoo.likelihoods.base import Likelihood


class Bernoulli(Likelihood):
    """Logits (..., C, H, W) to independent pixels in {0, 1}; a probability mass."""

    reads = "binary"
    measure = "mass"

    def forward(self, parameters: Tensor) -> Distribution:
        return BernoulliImage(full_precision(parameters), validate_args=False)
