"""The prior over grids of codes: each given those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import cross_entropy

from zoo.core.latent_space import Codebook
from zoo.distributions.precision import full_precision
from zoo.nn.causal import CausalHead
from zoo.randomness import noise_of


class GridPrior(nn.Module):
    r"""p(k) = prod_i p(k_i | k_<i) of indices k on a ``grid`` (h, w), row by row.

    A PixelCNN (van den Oord et al. 2016, arXiv:1601.06759): masked convolutions over learned
    vectors of the indices, and learned maps that tell the places apart.

    >>> prior = GridPrior(8, (2, 3), width=4, radii=(1, 1))
    >>> indices = prior.draw(5)
    >>> indices.shape, prior.log_prob(indices).shape
    (torch.Size([5, 6]), torch.Size([5]))
    """

    def __init__(self, size: int, grid: tuple[int, int], width: int, radii: Sequence[int]) -> None:
        super().__init__()
        self.grid = grid
        self.embedding = nn.Embedding(size, width)
        self.maps = nn.Parameter(torch.randn(width, *grid))
        self.head = CausalHead(width, width, radii, size)

    def log_prob(self, indices: Tensor) -> Tensor:
        """log p of grids (N, T), (N,)."""
        grids = torch.unflatten(indices, 1, self.grid)  # (N, h, w)
        vectors = self.embedding(grids).movedim(-1, 1)  # (N, width, h, w)
        maps = self.maps.expand(1, len(grids), *self.maps.shape)  # (1, N, width, h, w)
        logits = full_precision(self.head(vectors, maps)[0])  # (N, K, h, w)
        return -cross_entropy(logits, grids, reduction="none").flatten(1).sum(1)

    @torch.no_grad()
    def draw(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """n grids (n, T), code by code; the log-probabilities of each are divided by T."""
        drawn: list[Tensor] = []

        def pick(logits: Tensor) -> Tensor:
            drawn.append(_drawn(full_precision(logits), temperature))
            vectors: Tensor = self.embedding(drawn[-1])  # (n, width)
            return vectors

        with noise_of(generator, self.maps.device):
            self.head.grow(self.maps.expand(n, *self.maps.shape), 1, pick)
        return torch.stack(drawn, dim=1)


class CodePrior(Distribution):
    """p(z) of codes (..., T d): that of their indices; a mass, batch shape ()."""

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector

    def __init__(self, grids: GridPrior, space: Codebook) -> None:
        self.grids, self.space = grids, space
        super().__init__(event_shape=torch.Size([space.dim]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(...); a code off the codebook stands for the nearest one."""
        indices = self.space.nearest(value)  # (..., T)
        places = indices.shape[-1]
        return self.grids.log_prob(indices.reshape(-1, places)).view(value.shape[:-1])

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Codes drawn place by place."""
        shape = torch.Size(sample_shape)
        codes = self.space.codes(self.grids.draw(shape.numel()))  # (N, T d)
        return codes.view(*shape, self.space.dim)  # (*shape, T d)


def _drawn(logits: Tensor, temperature: float) -> Tensor:
    """One of K classes (N,) with probabilities in proportion to p^(1 / temperature)."""
    if temperature == 0:
        return logits.argmax(-1)
    below = logits - logits.amax(-1, keepdim=True)  # so that no quotient overflows to +inf
    return (below / temperature).softmax(-1).multinomial(1).squeeze(-1)
