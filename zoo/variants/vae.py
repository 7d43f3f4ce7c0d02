"""The variational autoencoder with one latent vector (Kingma & Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from zoo.model import ElboTerms, check_draws
from zoo.nn.heads import GaussianHead, StandardNormal
from zoo.variants.single_latent import SingleLatentConfig, SingleLatentModel


class Prior(Protocol):
    """What :meth:`VAE.build_prior` returns: a module as well."""

    def __call__(self, like: Tensor) -> Distribution:
        """p(z) on the device and in the dtype of ``like``."""

    def sample(
        self, n: int, temperature: float, generator: torch.Generator | None, like: Tensor
    ) -> Tensor:
        """``n`` draws (n, D), their spread scaled by ``temperature``."""


class VAEConfig(SingleLatentConfig):
    """A latent vector with a prior and a posterior."""


class VAE(SingleLatentModel):
    r"""p(x|z) p(z) with q(z|x), all three chosen in the configuration.

    The bound is E_q[log p(x|z)] - KL(q(z|x) || p(z)). A variant with another posterior or prior
    overrides :meth:`build_posterior` and :meth:`build_prior`, whose modules return distributions.

    >>> model = VAE(VAEConfig(input_shape=(1, 28, 28), latent_dim=10))
    >>> terms = model.elbo_terms(torch.zeros(5, 1, 28, 28))
    >>> terms.log_likelihood.shape, terms.kl.shape, model.sample(3).shape
    (torch.Size([5]), torch.Size([5, 1]), torch.Size([3, 1, 28, 28]))
    """

    Config = VAEConfig
    config: VAEConfig

    def build_code(self, in_features: int) -> None:
        self.posterior = self.build_posterior(in_features)
        self.prior = self.build_prior()

    def build_posterior(self, in_features: int) -> nn.Module:
        """The module from features (B, F) to q(z|x)."""
        return GaussianHead(in_features, self.config.latent_dim)

    def build_prior(self) -> Prior:
        """The module that returns p(z)."""
        return StandardNormal(self.config.latent_dim)

    def elbo_terms(self, x: Tensor) -> ElboTerms:
        q = self.infer(x)
        z = q.rsample()
        kl = kl_divergence(q, self.prior(z))
        return ElboTerms(self.decode(z).log_prob(x), kl.unsqueeze(-1))

    def log_weights(self, x: Tensor, samples: int) -> Tensor:
        q = self.infer(x)
        z = q.rsample(torch.Size([samples]))  # (S, B, D)
        log_prior: Tensor = self.prior(z).log_prob(z)
        return self.decode(z).log_prob(x) + log_prior - q.log_prob(z)

    def infer(self, x: Tensor) -> Distribution:
        """q(z|x), batch shape (B,)."""
        self.check_input(x)
        posterior: Distribution = self.posterior(self.encoder(x))
        return posterior

    def encode(self, x: Tensor) -> Tensor:
        return self.infer(x).mode

    def sample_codes(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        check_draws(n, temperature)
        return self.prior.sample(n, temperature, generator, like=next(self.parameters()))

    def kl_by_dimension(self, x: Tensor) -> Tensor | None:
        q = self.infer(x)
        p = self.prior(q.mode)
        if not (isinstance(q, Independent) and isinstance(p, Independent)):
            return None
        return kl_divergence(q.base_dist, p.base_dist)
