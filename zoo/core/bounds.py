"""What is estimated by many draws, in bounded memory, above all variants."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch
from torch import Tensor

from zoo.core.batch import Batch, Checked
from zoo.core.checks import check_samples, is_count
from zoo.errors import UnsupportedError

if TYPE_CHECKING:
    from zoo.core.model import LatentVariableModel


Weigh: TypeAlias = Callable[[Batch, int], Tensor]
"""log w (S, B) of so many draws for each example of a batch."""


class Evidence(NamedTuple):
    """An estimate of log p(x) for each example, and the variance of its Monte Carlo error."""

    log_p: Tensor  # (B,)
    variance: Tensor  # (B,)


@torch.no_grad()
def log_evidence(
    model: LatentVariableModel,
    batch: Batch,
    samples: int,
    chunk: int = 1024,
    weigh: Weigh | None = None,
) -> Evidence:
    """The importance-weighted estimate of log p(x) in bounded memory.

    log 1/S sum_s w_s, w_s = p(x, z_s) / q(z_s|x), z_s ~ q(z|x) (Burda et al. 2016,
    arXiv:1509.00519): a lower bound in expectation, tighter with every sample, equal to the ELBO at
    S = 1. At most ``chunk`` decoded examples are held at a time. Its variance over draws is
    estimated by the delta method, sum w^2 / (sum w)^2 - 1/S. ``weigh`` is :func:`weigher` of the
    model, by default, or what says the same faster.

    Raises UnsupportedError for a model without log p(x), and for no samples.
    """
    check_samples(samples)
    if not is_count(chunk, 1):
        raise UnsupportedError(f"chunk must be a whole number of at least 1, got {chunk!r:.100}")
    if not model.has_evidence:
        raise UnsupportedError(
            f"{type(model).__name__} has no posterior density, so its likelihood of x is not "
            "defined; compare reconstructions, or use a variational variant such as 'gaussian-vae'"
        )
    batch = Checked(*model.prepared(batch))  # so that the host waits once, not for every chunk
    at_once = max(1, min(chunk, model.decode_batch) // max(1, len(batch.x)))
    weigh = weigh or weigher(model)
    sums, squares = [], []
    for part in _chunks(samples, at_once):
        log_weights = weigh(batch, part)  # (part, B)
        sums.append(log_weights.logsumexp(0))  # (B,)
        squares.append((2 * log_weights).logsumexp(0))
    total, of_squares = (torch.stack(parts).logsumexp(0) for parts in (sums, squares))  # (B,)
    relative = (of_squares - 2 * total).exp() - 1 / samples
    return Evidence(total - math.log(samples), relative.clamp(min=0))


def weigher(model: LatentVariableModel) -> Weigh:
    """log w = log p(x, z) - log q(z|x) of a model's draws."""
    return lambda batch, samples: model.infer(batch, samples).log_weights


@torch.no_grad()
def log_posteriors(model: LatentVariableModel, batch: Batch) -> Tensor:
    """log q(z_i|x_j) of one draw z_i ~ q(z|x_i) for each example: (B, B).

    Raises UnsupportedError for a model without a posterior density.
    """
    if not model.has_evidence:
        raise UnsupportedError(f"{type(model).__name__} has no posterior density")
    batch = Checked(*model.prepared(batch))
    codes = model.infer(batch).z.squeeze(0)  # (B, D)
    count = len(codes)
    parts = [
        model.infer(batch, given=part[:, None].expand(-1, count, -1)).log_q.sum(-1)  # (part, B)
        for part in torch.split(codes, max(1, model.decode_batch // max(1, count)))
    ]
    return torch.cat(parts)  # (B, B)


def _chunks(total: int, size: int) -> Iterator[int]:
    while total > 0:
        yield min(size, total)
        total -= size
