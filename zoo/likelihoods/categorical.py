"""One token of a vocabulary."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical

from zoo.distributions.precision import full_precision
from zoo.likelihoods.base import Likelihood


class Categorical(Likelihood):
    """Logits (..., V) to one token of V; a probability mass. Of text, for models that read it."""

    reads = "tokens"
    measure = "mass"

    def forward(self, parameters: Tensor) -> Distribution:
        return OneHotCategorical(logits=full_precision(parameters), validate_args=False)
