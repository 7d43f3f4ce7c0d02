"""Modules that turn features into distributions over codes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence, register_kl
from torch.nn.functional import softplus

from zoo.distributions.precision import full_precision
from zoo.errors import UnsupportedError

MIN_SCALE = 1e-4
"""Keeps log q(z|x) finite when a posterior collapses to a point."""


class GaussianHead(nn.Module):
    """Features (..., F) to a diagonal Gaussian over (..., D), sigma = softplus(.) + 1e-4.

    >>> GaussianHead(128, 10)(torch.zeros(5, 128)).rsample().shape
    torch.Size([5, 10])
    """

    def __init__(self, in_features: int, latent_dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(in_features, 2 * latent_dim)

    def forward(self, features: Tensor) -> Distribution:
        mean, raw_scale = full_precision(self.projection(features)).chunk(2, dim=-1)
        normal = Normal(mean, softplus(raw_scale) + MIN_SCALE, validate_args=False)
        return Independent(normal, 1, validate_args=False)


class BatchNormGaussianHead(nn.Module):
    r"""The same, its means normalised over the batch (Zhu et al. 2020, arXiv:2004.12585).

    mu = gamma (m - mean m) / std m + beta with a fixed gamma and a learned beta. Since then
    E[mu^2] >= gamma^2 over examples, the average KL to a standard normal is at least
    D gamma^2 / 2, however strong the decoder: the KL cannot vanish.

    In training over the batch; in evaluation with statistics of the training set, which the trainer
    measures before it validates. Raises UnsupportedError for a training batch of one.

    >>> head = BatchNormGaussianHead(8, 3, gamma=0.6)
    >>> head(torch.randn(64, 8)).mean.square().mean(0) >= 0.3599
    tensor([True, True, True])
    """

    def __init__(self, in_features: int, latent_dim: int, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.projection = nn.Linear(in_features, 2 * latent_dim)
        # Torch's own 1e-5 would leave small means small, and let the KL fall below its floor.
        self.normalise = nn.BatchNorm1d(latent_dim, eps=1e-10, affine=False)
        self.shift = nn.Parameter(torch.zeros(latent_dim))

    def forward(self, features: Tensor) -> Distribution:
        raw_mean, raw_scale = full_precision(self.projection(features)).chunk(2, dim=-1)
        if self.training and len(features) < 2:
            raise UnsupportedError(
                "batch normalisation trains on batches of at least 2 examples, got 1; call "
                "model.eval() before using the model, or raise train.batch_size"
            )
        mean = self.gamma * self.normalise(raw_mean) + self.shift
        normal = Normal(mean, softplus(raw_scale) + MIN_SCALE, validate_args=False)
        return Independent(normal, 1, validate_args=False)


class StandardGaussian(Independent):  # type: ignore[type-arg]
    """N(0, I), known to be that: its KL takes half the operations of the general one."""


@register_kl(Independent, StandardGaussian)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_to_standard_gaussian(q: Any, p: StandardGaussian) -> Tensor:
    """sum over dimensions of (mu^2 + sigma^2 - 1) / 2 - log sigma for a Gaussian q."""
    if not isinstance(q.base_dist, Normal):
        general: Tensor = kl_divergence(q.base_dist, p.base_dist)
        return general.sum(-1)
    mean, scale = q.base_dist.loc, q.base_dist.scale
    return (0.5 * (mean.square() + scale.square() - 1) - scale.log()).sum(-1)


def _remember_kl() -> None:
    """Torch's search among registered KLs, whose result it keeps, is no part of a compiled graph.

    Without this the first step of a run would be compiled in pieces, and so would all others.
    """
    unit = Normal(torch.zeros(1), torch.ones(1), validate_args=False)
    kl_divergence(Independent(unit, 1), StandardGaussian(unit, 1))


_remember_kl()


class StandardNormal(nn.Module):
    """The prior N(0, I) over D dimensions, on the device and in the dtype of the tensor given.

    >>> StandardNormal(10)(torch.zeros(5, 10)).log_prob(torch.zeros(10)).item()
    -9.189...
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, like: Tensor) -> Distribution:
        mean, scale = like.new_zeros(self.latent_dim), like.new_ones(self.latent_dim)
        return StandardGaussian(Normal(mean, scale, validate_args=False), 1, validate_args=False)

    def sample(
        self, n: int, temperature: float, generator: torch.Generator | None, like: Tensor
    ) -> Tensor:
        """n draws from N(0, temperature^2 I), shape (n, D)."""
        shape = (n, self.latent_dim)
        noise = torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
        return temperature * noise
