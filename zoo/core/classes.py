"""Draws of a model that infers a class of each example: every class is tried, none is sampled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.core.draws import Draws, LatentDraw
from zoo.core.lazy import lazy
from zoo.distributions.one_hot import OneHot


class ClassDraws(Draws):
    r"""Draws (y, z) ~ q(y|x) q(z|x, y) that know what every class y would have given.

    ``each`` holds one draw z ~ q(z|x, y) for every class, S times: (S K, B). What is an expectation
    over y is summed over all K, so gradients reach q(y|x): the ELBO is

        U(x) = sum_y q(y|x) L(x, y) + H(q(y|x)),
        L(x, y) = E_q(z|x,y)[log p(x|y, z)] + log p(y) - KL(q(z|x, y) || p(z)),

    and a weight is sum_y p(x, y, z_y) / q(z_y|x, y), whose mean is p(x) whatever q(y|x) says. Codes
    hold one y drawn from q(y|x), as a unit vector, and its z; ``log_q``, ``log_p`` and
    ``log_likelihood`` are those of the code. After Kingma et al. 2014 (arXiv:1406.5298), (6), (7).

    ``log_q`` is log q(y|x), (B, K), ``log_p`` log p(y), (K,); ``code`` makes the deterministic code
    of the likeliest class.
    """

    def __init__(
        self, each: Draws, log_q: Tensor, log_p: Tensor, code: Callable[[], Tensor]
    ) -> None:
        self.each, self.log_class, self.log_prior = each, log_q, log_p
        y = OneHot(log_q).sample((each.z.shape[0] // log_p.shape[0],))  # (S, B, K)
        self.drawn = y.argmax(-1)  # (S, B)
        z = torch.cat([y, self._chosen(each.z)], dim=-1)  # (S, B, K + d)
        latents = [class_latent(y, log_q, log_p), _OfClass(each.latents[0], self)]
        super().__init__(latents, lambda: each.likelihood, each.batch, code, z)

    @lazy
    def log_likelihood(self) -> Tensor:
        """log p(x|y, z) of the drawn class, (S, B)."""
        return self._chosen(self.each.log_likelihood)

    @lazy
    def expected_log_likelihood(self) -> Tensor:
        """sum_y q(y|x) E_q(z|x,y)[log p(x|y, z)], (B,)."""
        return self.expected(self.each.log_likelihood)

    @lazy
    def log_weights(self) -> Tensor:
        """log sum_y p(x, y, z_y) / q(z_y|x, y), (S, B)."""
        weights = self._by_class(self.each.log_weights)  # (S, K, B)
        return (weights + self.log_prior[:, None]).logsumexp(1)

    @lazy
    def bounds(self) -> Tensor:
        """L(x, y) of every class, (B, K)."""
        kl = self.each.latents[0].kl_by_draw  # (S K, B)
        found = self._by_class(self.each.log_likelihood - kl).mean(0)  # (K, B)
        return found.T + self.log_prior

    @lazy
    def elbo(self) -> Tensor:
        """U(x), (B,)."""
        return (self.log_class.exp() * (self.bounds - self.log_class)).sum(-1)

    def expected(self, values: Tensor) -> Tensor:
        """Of values (S K, B) the mean over draws and over y ~ q(y|x), (B,)."""
        return (self.log_class.exp() * self._by_class(values).mean(0).T).sum(-1)

    def _by_class(self, values: Tensor) -> Tensor:
        """(S K, B, ...) -> (S, K, B, ...)."""
        return torch.unflatten(values, 0, (self.drawn.shape[0], self.log_prior.shape[0]))

    def _chosen(self, values: Tensor) -> Tensor:
        """Of values (S K, B, ...) those of the drawn class, (S, B, ...)."""
        index = self.drawn.unsqueeze(1)  # (S, 1, B)
        index = index.view(*index.shape, *(1 for _ in values.shape[2:]))  # (S, 1, B, 1, ...)
        return self._by_class(values).take_along_dim(index, 1).squeeze(1)


def class_latent(y: Tensor, log_q: Tensor, log_p: Tensor) -> LatentDraw:
    """Draws y (S, B, K), unit vectors, of log q(y|x) (B, K), and log p(y), (K,) or (B, K)."""
    return LatentDraw(y, OneHot(log_q), OneHot(log_p), (y.shape[0], y.shape[1]))


class _OfClass(LatentDraw):
    """The draws z ~ q(z|x, y) of drawn classes, (S, B), out of those of all."""

    def __init__(self, each: LatentDraw, draws: ClassDraws) -> None:
        super().__init__(each.z, each.posterior, each.prior, each.shape)
        self.each, self.draws = each, draws

    @lazy
    def log_q(self) -> Tensor:
        """log q(z|x, y), (S, B)."""
        return self.draws._chosen(self.each.log_q)

    @lazy
    def log_p(self) -> Tensor:
        """log p(z), (S, B)."""
        return self.draws._chosen(self.each.log_p)

    @lazy
    def kl(self) -> Tensor:
        """sum_y q(y|x) KL(q(z|x, y) || p(z)), (B,)."""
        return self.draws.expected(self.each.kl_by_draw)
