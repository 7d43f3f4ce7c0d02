"""Independent binary values, as black and white pixels."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent, bernoulli

from zoo.distributions.bernoulli_image import EVENT_DIMS, BernoulliImage
from zoo.distributions.precision import full_precision
from zoo.likelihoods.base import Likelihood
from zoo.nn.layers import Layer


class Bernoulli(Likelihood):
    """Logits (..., *shape) to independent values in {0, 1}; a probability mass."""

    reads = "binary"
    measure = "mass"

    def forward(self, parameters: Tensor) -> Distribution:
        logits = full_precision(parameters)
        if len(self.shape) == EVENT_DIMS:
            return BernoulliImage(logits, validate_args=False)
        values = bernoulli.Bernoulli(logits=logits, validate_args=False)
        return Independent(values, len(self.shape), validate_args=False)

    def estimate_layers(self) -> list[Layer]:
        return [Layer("sigmoid")]
