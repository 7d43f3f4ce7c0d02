"""The vectors of a codebook, which no gradient moves but the moving averages of what chose them."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

DEAD = 0.03
"""A code is dead whose moving count is below this part of what it would be, were all used alike."""


class MovingCodebook(nn.Module):
    r"""K vectors e_k, each the moving average of the points that it is nearest to.

    .. math:: N_k \leftarrow \gamma N_k + (1 - \gamma) n_k, \quad
              m_k \leftarrow \gamma m_k + (1 - \gamma) \sum_{i: k_i = k} z_i, \quad e_k = m_k / N_k

    with the n_k points of a batch that chose code k (van den Oord et al. 2017, arXiv:1711.00937,
    appendix A.1). A code is dead once N_k < 0.03 n / K for a batch of n points: it starts again at
    a random point of the batch, with N_k = n / K. Before the first batch all N_k are 0, so that
    this also puts the codebook where the encoder's points are.

    Over several processes n_k and the sums are those of all, and new starts are the first one's. A
    batch with a number that is not finite changes nothing, as its gradient does not.

    >>> codebook = MovingCodebook(4, 2, decay=0.99)
    >>> codebook.update(torch.ones(8, 2), torch.zeros(8, dtype=torch.int64))
    >>> codebook.vectors.allclose(torch.ones(4, 2))
    True
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, size: int, dim: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("vectors", torch.randn(size, dim))
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, dim))

    @torch.no_grad()
    def update(self, points: Tensor, indices: Tensor) -> None:
        """Follow the points (N, d) of a batch, which chose codes (N,)."""
        if not len(points):
            return
        chosen, total = self.count(indices), torch.zeros_like(self.sums)  # (K,), (K, d)
        total.index_add_(0, indices, points)
        fresh = _some(points, len(self.counts))  # (K, d)
        _over_processes(chosen, total, fresh)
        counts = torch.lerp(self.counts, chosen, 1 - self.decay)  # (K,)
        sums = torch.lerp(self.sums, total, 1 - self.decay)  # (K, d)
        share = chosen.sum() / len(chosen)  # ()
        dead = counts < DEAD * share
        counts = torch.where(dead, share, counts)
        sums = torch.where(dead[:, None], share * fresh, sums)
        good = total.isfinite().all()
        for buffer, value in (
            (self.counts, counts),
            (self.sums, sums),
            (self.vectors, sums / counts[:, None]),
        ):
            buffer.copy_(torch.where(good, value, buffer))

    def count(self, indices: Tensor) -> Tensor:
        """How often each code was chosen, (K,)."""
        ones = self.counts.new_ones(indices.numel())
        return torch.zeros_like(self.counts).index_add_(0, indices.flatten(), ones)

    def perplexity(self, indices: Tensor) -> Tensor:
        """exp of the entropy of the codes chosen, a scalar: K where all are used alike.

        >>> round(MovingCodebook(4, 2, 0.99).perplexity(torch.tensor([0, 1, 1, 0])).item(), 4)
        2.0
        """
        chosen = self.count(indices)
        share = chosen / chosen.sum().clamp(min=1)
        entropy: Tensor = torch.special.entr(share).sum()
        return entropy.exp()


def _some(points: Tensor, count: int) -> Tensor:
    """So many of the points at random, none twice unless there are too few."""
    order = torch.randperm(len(points), device=points.device)
    return points[order[torch.arange(count, device=points.device) % len(points)]]  # (count, d)


def _over_processes(chosen: Tensor, total: Tensor, fresh: Tensor) -> None:
    """Make them those of all processes of a distributed training, in place."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(chosen)
        distributed.all_reduce(total)
        distributed.broadcast(fresh, 0)
