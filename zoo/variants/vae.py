"""The variational autoencoder with one latent vector (Kingma & Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.batch import Batch
from zoo.core.descent import Choice
from zoo.core.draws import Draws, LatentDraw
from zoo.core.latent_space import LatentSpace
from zoo.core.reading import given_codes
from zoo.posteriors import space_of
from zoo.priors import Given
from zoo.variants.single_latent import (
    SingleLatentConfig,
    SingleLatentModel,
    beside,
    for_codes,
)
from zoo.variants.variational import VariationalConfig


class VAEConfig(SingleLatentConfig, VariationalConfig):
    """A latent vector with a posterior, and a prior of the same space."""


class VAE(SingleLatentModel):
    r"""p(x|z) p(z) with q(z|x), all three chosen in the configuration.

    The bound is E_q[log p(x|z)] - KL(q(z|x) || p(z)). On the sphere (Davidson et al. 2018,
    arXiv:1804.00891) codes are unit vectors in R^m, the prior is uniform there, no code is pulled
    to a centre, and the decoder reads sqrt(m) z, whose coordinates have unit variance.

    >>> model = VAE(VAEConfig(input_shape=(1, 28, 28), latent_dim=10))
    >>> draws = model(torch.zeros(5, 1, 28, 28))
    >>> draws.log_likelihood.shape, draws.kl.shape, model.sample(3).shape
    (torch.Size([1, 5]), torch.Size([5, 1]), torch.Size([3, 1, 28, 28]))
    """

    Config = VAEConfig
    config: VAEConfig

    def build_code(self, in_features: int) -> LatentSpace:
        config = self.config
        space = space_of(config.posterior, config.latent_dim)
        self.posterior = config.posterior.build(partial(nn.Linear, in_features), config.latent_dim)
        self.prior = config.prior.build(space, self.encoder_shape)
        if self.condition_width is not None:
            self.prior.tell(self.condition_width)
        return space

    @property
    def code_variance(self) -> float | None:
        return self.prior.variance

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        batch = self.prepared(batch)
        given = given_codes(self, samples, given, batch.x.shape[0])
        shape = samples if given is None else given.shape[0], batch.x.shape[0]
        return self.answer(batch, self.told(batch.condition, self._like), shape, given)

    def answer(
        self,
        batch: Batch,
        told: Tensor | None,
        shape: tuple[int, int],
        given: Tensor | None = None,
    ) -> Draws:
        """S draws for each of B examples, ``shape``, of a batch that has been prepared.

        They are told the numbers (B, C), or others in each draw, (S, B, C); ``given`` codes
        (S, B, D) stand for draws as in :meth:`infer`. Then there is a posterior for each draw.
        """
        q, p = self._inferred(batch, told)
        if given is None:
            latent = self.posterior.draw(q, p, shape)
        else:
            each = told is not None and told.ndim == 3  # a posterior for each draw
            latent = LatentDraw(given.flatten(0, 1) if each else given, q, p, shape)
        z = latent.z.reshape(*shape, self.code_dim)  # (S, B, D)
        beside_codes = for_codes(told, z) if told is not None and told.ndim == 2 else told
        likelihood = partial(self.decoded_beside, z, beside_codes)
        return Draws([latent], likelihood, batch, partial(self.posterior.code, q), z)

    def encode(self, batch: Tensor | Batch) -> Tensor:
        """The modes of the posteriors, (B, D). Nothing is drawn."""
        batch = self.prepared(batch)
        q, _ = self._inferred(batch, self.told(batch.condition, self._like))
        return self.posterior.code(q)

    def descend(self, n: int, choose: Choice, batch: Batch | None = None) -> Distribution:
        """See :class:`zoo.core.descent.Descending`."""
        if batch is None:
            return self.decode(choose(self.prior(self._given(None)), None))
        batch = self.prepared(batch)
        q, p = self._inferred(batch, self.told(batch.condition, self._like))
        return self.decode(choose(p, q), batch.condition)

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        told = self.told(condition, self._like)
        return self.prior.sample(n, self._given(told), temperature, generator)

    def quantiles(self, u: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.prior.quantiles(u, self._given(self.told(condition, self._like)))

    def _inferred(self, batch: Batch, told: Tensor | None) -> tuple[Distribution, Distribution]:
        """q(z|x, c) and p(z|c) of B examples told (B, C), or (S, B, C): then S B of each."""
        features = self.encoded(batch)  # (B, F)
        if told is not None and told.ndim == 3:
            features = features.expand(told.shape[0], *features.shape).flatten(0, 1)  # (S B, F)
            told = told.flatten(0, 1)  # (S B, C)
        p = self.prior(self._given(told))
        return self.posterior(beside(features, told), p), p

    @property
    def _like(self) -> Tensor:
        return next(self.parameters())

    def _given(self, told: Tensor | None) -> Given:
        return Given(self._like, told, partial(self._posterior_of, told))

    def _posterior_of(self, told: Tensor | None, x: Tensor) -> Distribution:
        """q(z|x, c) of what the encoder reads of examples, for priors of posteriors, see `Given`.

        Such a prior is p(z|c), a mixture of q(z|u_k, c) over its own examples u_k: so it can still
        be the mean of the posteriors of one class, which q(z|u_k, c_k) of other classes cannot.
        """
        size = len(self.encoder_shape)
        places = x.shape[: x.ndim - size]  # (N,) or (B, N)
        features = self.encoder(x.flatten(0, -1 - size)).unflatten(0, places)  # (..., N, F)
        if told is not None:
            each = told.unsqueeze(1)  # (B, 1, C)
            batch = torch.broadcast_shapes(places, each.shape[:-1])  # type: ignore[no-untyped-call]  # (B, N)
            features = torch.cat([part.expand(*batch, -1) for part in (features, each)], dim=-1)
        q: Distribution = self.posterior(features, None)
        return q
