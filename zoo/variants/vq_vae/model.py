"""The model: an encoder whose points are rounded to a codebook, and a prior over the codes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.batch import Batch
from zoo.core.condition import check_told
from zoo.core.draws import Draws, LatentDraw
from zoo.core.latent_space import Codebook, straight_through
from zoo.core.lazy import lazy
from zoo.core.model import LatentVariableModel
from zoo.core.reading import as_codes, given_codes
from zoo.distributions.point_mass import PointMass
from zoo.distributions.precision import full_precision
from zoo.variants.vq_vae.codebook import MovingCodebook
from zoo.variants.vq_vae.config import VQVAEConfig
from zoo.variants.vq_vae.networks import Decoder, Encoder
from zoo.variants.vq_vae.prior import CodePrior, GridPrior

AT_ONCE = 2**24
"""Distances to the codebook, or logits of the prior, that are held at a time."""


class VQVAE(LatentVariableModel):
    r"""p(x|z) p(z) over codes z on a grid, each place one of K vectors (arXiv:1711.00937).

    q(z|x) is certain of the codes nearest to the encoder's points z_e(x). Its entropy is 0, so

    .. math:: \log p(x) \ge \log p(x|z) + \log p(z)

    where KL(q || p) = -log p(z) is the price of the code under the prior, an autoregressive mass
    that is trained on the indices in the same training. All draws of q are the same: importance
    weighting with more of them adds nothing, the bound of K draws is the ELBO. The decoder's
    gradient passes straight through to the encoder's points; none passes through log p(z), which
    has none in what is chosen. The vectors are moving averages, updated by every batch in training
    mode: see :class:`~zoo.variants.vq_vae.codebook.MovingCodebook`.

    A code (B, T d) holds the vectors of its places row by row. Codes off the codebook are read as
    the nearest ones, and paths between codes change one place after another. A temperature divides
    the prior's log-probabilities: 0 takes the likeliest of each, place by place.

    Of each example the draws' ``auxiliary`` has the ``commitment`` |z_e - z|^2, (B,), through which
    gradients reach the encoder alone, and of the batch the ``perplexity`` of its codes.

    >>> model = VQVAE(VQVAEConfig(input_shape=(1, 28, 28)))
    >>> draws = model(torch.zeros(3, 1, 28, 28), samples=2)
    >>> draws.kl.shape, draws.z.shape, model.sample(2).shape
    (torch.Size([3, 1]), torch.Size([2, 3, 784]), torch.Size([2, 1, 28, 28]))
    """

    Config = VQVAEConfig
    reads = ("images",)
    small = {
        "channels": [4, 6],
        "blocks": 1,
        "codebook_size": 32,
        "prior_width": 6,
        "prior_radii": [1, 0],
    }
    config: VQVAEConfig

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__(config)
        self.likelihood = self.likelihood_of(config.likelihood)
        self.encoder = Encoder(config)
        size = config.codebook_size
        self.codebook = MovingCodebook(size, config.latent_dim, config.codebook_decay)
        self.prior = GridPrior(size, config.grid, config.prior_width, config.prior_radii)
        self.decoder = Decoder(config, self.likelihood.channels)

    @property
    def space(self) -> Codebook:  # type: ignore[override]
        """The codebook as it is: training moves it, and files replace it."""
        height, width = self.config.grid
        return Codebook(self.codebook.vectors, height * width)

    @property
    def decode_batch(self) -> int:
        """Fewer, the more places and vectors there are."""
        each = self.space.places * self.config.codebook_size
        return max(1, min(super().decode_batch, AT_ONCE // each))

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        batch = self.prepared(batch)
        given = given_codes(self, samples, given, len(batch.x))
        points, space = self._points(batch), self.space  # (B, D)
        indices = space.nearest(points.detach())  # (B, T)
        code = straight_through(space.codes(indices), points)  # (B, D)
        p = CodePrior(self.prior, space)
        if given is None:
            latent: LatentDraw = CertainDraw(code, p, samples, indices)
        else:
            latent = LatentDraw(given, PointMass(code), p, (len(given), len(code)))
        once = code[None] if given is None else given  # (1, B, D) or (S, B, D)
        likelihood = partial(self._likelihood, once, latent.shape)
        auxiliary = {
            "commitment": (points - code.detach()).square().sum(-1),
            "perplexity": self.codebook.perplexity(indices),
        }
        if self.training and given is None:
            each = points.detach().view(-1, self.config.latent_dim)  # (B T, d)
            self.codebook.update(each, indices.flatten())
        return Draws([latent], likelihood, batch, lambda: code, latent.z, auxiliary)

    def encode(self, batch: Tensor | Batch) -> Tensor:
        """The codes nearest to the encoder's points, (B, D); the codebook stays as it is."""
        points = self._points(self.prepared(batch))
        return self.space.in_floats(points, points.dtype)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        """p(x|z) for codes (..., D), batch shape (...)."""
        check_told(self, condition)
        z = as_codes(self, z, self.code_dim)
        return self._likelihood(z, z.shape[:-1])

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        return self.space.codes(self.prior.draw(n, temperature, generator))

    def _points(self, batch: Batch) -> Tensor:
        """z_e(x), (B, D)."""
        return full_precision(self.encoder(batch.x))

    def _likelihood(self, z: Tensor, shape: Sequence[int]) -> Distribution:
        """p(x|z) of codes (..., D) that broadcast to a batch shape, each decoded once."""
        maps = self.decoder(z.reshape(-1, self.code_dim))  # (N, K, H, W)
        whole = maps.view(*z.shape[:-1], *maps.shape[1:]).expand(*shape, *maps.shape[1:])
        likelihood: Distribution = self.likelihood(whole)
        return likelihood


class CertainDraw(LatentDraw):
    """S times the one code (B, D) that there is of each example; of its indices p is asked once."""

    def __init__(self, code: Tensor, p: CodePrior, samples: int, indices: Tensor) -> None:
        shape = samples, len(code)
        z = code.expand(*shape, -1)  # (S, B, D)
        super().__init__(z, PointMass(code), p, shape, log_q=code.new_zeros(shape))
        self.grids, self.indices = p.grids, indices  # (B, T)

    @lazy
    def log_p(self) -> Tensor:
        """log p(z), (S, B)."""
        return self.grids.log_prob(self.indices).expand(self.shape)
