"""Mixtures of distributions of one kind."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)

from zoo.distributions.precision import widen


class FiniteMixture(MixtureSameFamily):
    """p(z) = sum_k w_k p_k(z) of components of batch shape (..., K); its own is (...).

    torch's own asks the components for densities of values (..., 1, d), and flows of other
    libraries do not broadcast these against their batch; this one asks for values (..., K, d). The
    densities of K normals with diagonal covariances it has by one product of matrices.

    >>> from torch.distributions import Independent, Normal
    >>> components = Independent(Normal(torch.tensor([[-1.0], [1.0]]), 1.0), 1)
    >>> FiniteMixture(Categorical(torch.tensor([0.5, 0.5])), components).log_prob(torch.zeros(3, 1))
    tensor([-1.4189, -1.4189, -1.4189])
    """

    def __init__(self, weights: Categorical, components: Distribution) -> None:
        super().__init__(weights, components, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Of values (..., d), (...)."""
        each = _log_probs(self.component_distribution, value)  # (..., K)
        total: Tensor = (each + self.mixture_distribution.logits).logsumexp(-1)
        return total


class EqualMixture(FiniteMixture):
    """p(z) = 1/K sum_k p_k(z). ``like`` says the device and the type of the weights."""

    def __init__(self, components: Distribution, like: Tensor) -> None:
        logits = like.new_zeros(components.batch_shape)
        super().__init__(Categorical(logits=logits, validate_args=False), components)


def _log_probs(components: Distribution, value: Tensor) -> Tensor:
    """log p_k(z) of values (..., d) and components of batch shape (..., K): (..., K)."""
    if isinstance(components, Independent) and isinstance(components.base_dist, Normal):
        is_matrix = len(components.batch_shape) == len(components.event_shape) == 1
        if is_matrix and value.device.type != "mps":  # which has no double precision
            return _of_normals(components.base_dist, value)
    size = len(components.event_shape)
    places = value.shape[: value.ndim - size]
    batch = torch.broadcast_shapes((*places, 1), components.batch_shape)  # type: ignore[no-untyped-call]  # (..., K)
    found: Tensor = components.log_prob(
        value.unsqueeze(-1 - size).expand(*batch, *components.event_shape)  # (..., K, d)
    )
    return found


def _of_normals(normals: Normal, value: Tensor) -> Tensor:
    r"""Of normals (K, d) at values (..., d), (..., K): with :math:`\lambda_k = 1 / \sigma_k^2`

    .. math:: \log p_k(z) = -\tfrac12 z^2 \cdot \lambda_k + z \cdot \lambda_k \mu_k
              - \tfrac12 \mu_k^2 \cdot \lambda_k - \sum \log \sigma_k - \tfrac d2 \log 2 \pi,

    whose terms cancel, hence in double precision: instead of K d numbers a value, there are K.
    """
    z, mean, scale = widen(value), widen(normals.loc), widen(normals.scale)
    precision = scale.reciprocal().square()  # (K, d)
    constant = 0.5 * (mean.square() * precision).sum(-1) + scale.log().sum(-1)  # (K,)
    linear = torch.cat([-0.5 * precision, mean * precision], dim=-1)  # (K, 2 d)
    products = torch.cat([z.square(), z], dim=-1) @ linear.mT  # (..., K)
    found: Tensor = products - constant - 0.5 * math.log(2 * math.pi) * z.shape[-1]
    return found.to(torch.promote_types(value.dtype, normals.loc.dtype))
