"""A mixture of distributions of equal weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily


class EqualMixture(MixtureSameFamily):
    """p(z) = 1/K sum_k p_k(z) of components of batch shape (..., K); its own is (...).

    torch's own asks the components for densities of values (..., 1, d), and flows of other
    libraries do not broadcast these against their batch; this one asks for values (..., K, d).
    ``like`` says the device and the type.

    >>> from torch.distributions import Independent, Normal
    >>> components = Independent(Normal(torch.tensor([[-1.0], [1.0]]), 1.0), 1)
    >>> EqualMixture(components, torch.zeros(())).log_prob(torch.zeros(3, 1))
    tensor([-1.4189, -1.4189, -1.4189])
    """

    def __init__(self, components: Distribution, like: Tensor) -> None:
        weights = Categorical(logits=like.new_zeros(components.batch_shape), validate_args=False)
        super().__init__(weights, components, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Of values (..., d), (...)."""
        components, size = self.component_distribution, len(self.event_shape)
        places = value.shape[: value.ndim - size]
        batch = torch.broadcast_shapes((*places, 1), components.batch_shape)  # type: ignore[no-untyped-call]  # (..., K)
        each = value.unsqueeze(-1 - size).expand(*batch, *self.event_shape)  # (..., K, d)
        found: Tensor = components.log_prob(each).logsumexp(-1) - math.log(batch[-1])
        return found
