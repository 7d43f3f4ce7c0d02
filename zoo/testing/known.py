"""Models whose log p(x) is known, on which estimates of it are tested."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal, kl_divergence

from zoo.core.batch import Batch
from zoo.core.condition import check_told
from zoo.core.draws import Draws, LatentDraw
from zoo.core.latent_space import Euclidean
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.likelihoods.gaussian import Gaussian

GRID, REACH = 4001, 9.0
"""Points of a grid over a latent, and how far it reaches in standard deviations."""


class LinearGaussianConfig(ModelConfig):
    """``widening`` is by how much the posterior is wider than the true one; 1 is exact."""

    latent_dim: int = Field(2, ge=1, le=64)
    scale: float = Field(0.5, gt=1e-3, le=1e3)
    widening: float = Field(1.0, gt=0, le=100)


class LinearGaussian(LatentVariableModel):
    r"""Probabilistic PCA (Tipping & Bishop 1999): z ~ N(0, I), x ~ N(W z + b, sigma^2 I).

    Then x ~ N(b, W W^T + sigma^2 I), and p(z|x) is a Gaussian of full covariance, which the
    posterior is but for its width.

    >>> model = LinearGaussian(LinearGaussianConfig(input_shape=(4,)))
    >>> x = torch.zeros(3, 4)
    >>> bool((model.infer(x).log_weights[0] - model.evidence(x)).abs().max() < 1e-4)
    True
    """

    Config = LinearGaussianConfig
    config: LinearGaussianConfig

    def __init__(self, config: LinearGaussianConfig) -> None:
        super().__init__(config)
        size = math.prod(config.input_shape)
        self.space = Euclidean(config.latent_dim)
        self.likelihood = Gaussian(Gaussian.Config(scale=config.scale), config.input_shape)
        self.weight = nn.Parameter(torch.randn(size, config.latent_dim))
        self.bias = nn.Parameter(torch.randn(size))

    @property
    def code_variance(self) -> float:
        return 1.0

    @property
    def prior(self) -> MultivariateNormal:
        """N(0, I)."""
        identity = torch.eye(self.code_dim).to(self.weight)
        return MultivariateNormal(identity[0] * 0, scale_tril=identity)

    def evidence(self, x: Tensor) -> Tensor:
        """log p(x), (B,), exactly."""
        noise = self.config.scale**2 * torch.eye(len(self.bias)).to(self.weight)
        p = MultivariateNormal(self.bias, self.weight @ self.weight.T + noise)
        found: Tensor = p.log_prob(x.flatten(1))  # type: ignore[no-untyped-call]
        return found

    def expected_elbo(self, x: Tensor) -> Tensor:
        """The ELBO's expectation over draws, (B,), exactly: log p(x) - KL(q(z|x) || p(z|x))."""
        gap: Tensor = kl_divergence(self.posterior(x), self._posterior(x, 1.0))
        return self.evidence(x) - gap

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """q(z|x), batch shape (B,)."""
        return self._posterior(x, self.config.widening)

    def _posterior(self, x: Tensor, widening: float) -> MultivariateNormal:
        loadings = self.weight / self.config.scale**2
        precision = self.prior.precision_matrix + loadings.T @ self.weight  # (D, D)
        covariance = torch.linalg.inv(precision)
        mean = (x.flatten(1) - self.bias) @ loadings @ covariance  # (B, D)
        return MultivariateNormal(mean, scale_tril=widening * torch.linalg.cholesky(covariance))

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        batch = self.prepared(batch)
        q = self.posterior(batch.x)
        z = q.rsample(torch.Size([samples])) if given is None else given  # (S, B, D)
        latent = LatentDraw(z, q, self.prior, (len(z), len(batch.x)))
        return Draws([latent], lambda: self.decode(z), batch, lambda: q.mean, z)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        """p(x|z) for codes (..., D), batch shape (...)."""
        check_told(self, condition)
        mean = torch.unflatten(z @ self.weight.T + self.bias, -1, self.config.input_shape)
        likelihood: Distribution = self.likelihood(mean)
        return likelihood

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        shape, like = (n, self.code_dim), self.weight
        noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
        return temperature * noise


@torch.no_grad()
def integrated_evidence(
    model: LatentVariableModel, x: Tensor, condition: Tensor | None = None
) -> Tensor:
    """log p(x|c), (B,), of any model with one number for a latent and the prior N(0, 1).

    The integral of p(x|z, c) p(z) over a grid, in double precision where the model is; c is one
    for all.
    """
    like = next(model.parameters())
    grid = torch.linspace(-REACH, REACH, GRID, dtype=like.dtype, device=like.device)
    log_prior = -0.5 * (grid.square() + math.log(2 * math.pi))  # (grid,)
    log_joint = (
        model.decode(grid[:, None, None], condition).log_prob(x) + log_prior[:, None]
    )  # (grid, B)
    return log_joint.logsumexp(0) + math.log(2 * REACH / (GRID - 1))
