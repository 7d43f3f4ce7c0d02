"""The normal posterior relative to its prior (Vahdat & Kautz 2020, arXiv:2007.03898)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.draws import LatentDraw
from zoo.core.latent_space import Euclidean
from zoo.core.lazy import lazy
from zoo.distributions.residual_normal import DiagonalNormal, ResidualNormal
from zoo.errors import UnsupportedError
from zoo.nn.bounded import bounded_halves
from zoo.posteriors.base import Posterior, Projection
from zoo.settings import Settings


class ResidualNormalPosterior(Posterior):
    r"""N(mu + shift(x), (sigma ratio(x))^2) for a prior of mean mu and standard deviation sigma.

    Where the prior moves, the posterior moves with it: the network says what x adds to what is
    known without it. shift and log ratio are softly held within 5.

    >>> posterior = ResidualNormalPosterior(Settings(), lambda n: torch.nn.Linear(128, n), 10)
    >>> prior = DiagonalNormal(torch.full((10,), 7.0), torch.zeros(10))
    >>> q = posterior(torch.zeros(5, 128), prior)
    >>> q.rsample().shape, bool((q.mean - 7).abs().max() <= 5)
    (torch.Size([5, 10]), True)
    """

    space = Euclidean

    def __init__(self, config: Settings, project: Projection, dim: int) -> None:
        super().__init__()
        self.projection = project(2 * dim)

    def forward(self, features: Tensor, prior: Distribution | None) -> ResidualNormal:
        """Without a prior, relative to N(0, I).

        Raises UnsupportedError for a prior without mean or standard deviation.
        """
        shift, log_ratio = bounded_halves(self.projection(features))
        mean, log_scale = (shift.new_zeros(()),) * 2 if prior is None else _moments(prior)
        return ResidualNormal(mean, log_scale, shift, log_ratio)

    def draw(self, q: Distribution, prior: Distribution, shape: tuple[int, int]) -> LatentDraw:
        if not (isinstance(q, ResidualNormal) and isinstance(prior, DiagonalNormal)):
            return super().draw(q, prior, shape)
        # In memory as the maps (N, L, H, W) that the numbers come from: what a seed draws depends
        # on the order.
        noise = torch.randn_like(q.shift.movedim(-1, 1)).movedim(1, -1)  # (S B, ..., L)
        return ResidualDraw(noise, q, prior, shape)


class ResidualDraw(LatentDraw):
    """A draw whose noise is known: no difference of nearly equal numbers, as z - mu, is taken."""

    posterior: ResidualNormal

    def __init__(
        self, noise: Tensor, q: ResidualNormal, prior: DiagonalNormal, shape: tuple[int, int]
    ) -> None:
        super().__init__(q.at(noise), q, prior, shape)
        self.noise = noise  # (S B, ..., L)

    @lazy
    def log_weight(self) -> Tensor:
        """log p(z) - log q(z|x), (S, B)."""
        q = self.posterior
        from_prior = q.distance + q.log_ratio.exp() * self.noise
        return self._summed(0.5 * (self.noise.square() - from_prior.square()) + q.log_ratio)

    @lazy
    def log_q(self) -> Tensor:
        """log q(z|x), (S, B)."""
        constant = 0.5 * math.log(2 * math.pi)
        return self._summed(-0.5 * self.noise.square() - self.posterior.log_scale - constant)

    @lazy
    def log_p(self) -> Tensor:
        """log p(z), (S, B)."""
        return self.log_weight + self.log_q

    @lazy
    def kl(self) -> Tensor:
        """1/2 sum (shift^2 / sigma^2 + ratio^2 - log ratio^2 - 1), (B,), the mean over draws."""
        q = self.posterior
        width = torch.expm1(2 * q.log_ratio) - 2 * q.log_ratio
        return 0.5 * self._summed(q.distance.square() + width).mean(0)

    def _summed(self, terms: Tensor) -> Tensor:
        """Of terms (S B, ..., L) the sum over latents and places, (S, B), in the order of codes."""
        return self._by_draw(terms.movedim(-1, 1))


def _moments(prior: Distribution) -> tuple[Tensor, Tensor]:
    """Mean and log-scale."""
    if isinstance(prior, DiagonalNormal):
        return prior.mean, prior.log_scale  # the logarithm of the exponential would round
    try:
        return prior.mean, prior.stddev.log()
    except (AttributeError, NotImplementedError) as error:
        raise UnsupportedError(
            f"the posterior 'residual-normal' is said relative to its prior's mean and standard "
            f"deviation, and {type(prior).__name__} has none in closed form; choose the posterior "
            f"'gaussian', or a normal prior"
        ) from error
