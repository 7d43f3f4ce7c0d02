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


class FiniteMixture(MixtureSameFamily):
    """p(z) = sum_k w_k p_k(z) of components of batch shape (..., K); its own is (...).

    torch's own asks the components for densities of values (..., 1, d), and flows of other
    libraries do not broadcast these against their batch; this one asks for values (..., K, d), and
    takes those of normals with diagonal covariances from :func:`normal_log_probs`.

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
    size = len(components.event_shape)
    if size == 1 and isinstance(components, Independent):
        normals = components.base_dist
        if isinstance(normals, Normal):
            return normal_log_probs(value, normals.loc, normals.scale)
    places = value.shape[: value.ndim - size]
    batch = torch.broadcast_shapes((*places, 1), components.batch_shape)  # type: ignore[no-untyped-call]  # (..., K)
    found: Tensor = components.log_prob(
        value.unsqueeze(-1 - size).expand(*batch, *components.event_shape)  # (..., K, d)
    )
    return found


def normal_log_probs(value: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    r"""log N(z; mean_k, diag scale_k^2) of values (S..., B..., d), parameters (B..., K, d).

    The result is (S..., B..., K). Of several values for the same normals, with
    :math:`\lambda = 1 / \sigma^2`, by a product of matrices

    .. math:: -\tfrac12 z^2 \cdot \lambda + z \cdot \lambda \mu - \tfrac12 \mu^2 \cdot \lambda
              - \sum \log \sigma - \tfrac d2 \log 2 \pi,

    whose terms cancel, hence in double precision: K numbers a value, where there were K d.

    >>> normal_log_probs(torch.zeros(4, 3, 1), torch.zeros(3, 2, 1), torch.ones(3, 2, 1)).shape
    torch.Size([4, 3, 2])
    """
    several = value.ndim + 1 - mean.ndim  # dimensions S
    are_several = several > 0 and value.shape[:several].numel() != 1
    if not are_several or value.device.type == "mps":  # which has no double precision
        each = Normal(mean, scale, validate_args=False).log_prob(value.unsqueeze(-2))  # type: ignore[no-untyped-call]
        summed: Tensor = each.sum(-1)
        return summed
    z, mu, sigma = value.double(), mean.double(), scale.double()
    precision = sigma.reciprocal().square()  # (B..., K, d)
    constant = 0.5 * (mu.square() * precision).sum(-1) + sigma.log().sum(-1)  # (B..., K)
    constant = constant + 0.5 * math.log(2 * math.pi) * value.shape[-1]
    linear = torch.cat([-0.5 * precision, mu * precision], dim=-1)  # (B..., K, 2 d)
    powers = torch.cat([z.square(), z], dim=-1).flatten(0, several - 1)  # (S, B..., 2 d)
    products = powers.movedim(0, -2) @ linear.mT  # (B..., S, K)
    found = torch.unflatten(products.movedim(-2, 0) - constant, 0, value.shape[:several])
    return found.to(torch.promote_types(value.dtype, mean.dtype))
