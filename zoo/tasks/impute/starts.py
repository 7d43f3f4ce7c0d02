r"""Where chains begin: with codes of the prior that fit what is observed.

A code of the prior alone is rarely near what is observed, and a sweep moves little where much is
missing, because q(z|x_o, x_m) remembers the filling x_m. So a pool of codes is drawn of the prior
and decoded once, and those that chains begin with are chosen of it with weights

    w_k = p(x_o|z_k)^t,    0 < t <= 1,

t the highest power of which the effective number of codes, (sum w)^2 / sum w^2, is at least as many
as an example has chains: they begin apart, in every place that may be right. It is the first step
of an annealed population (Del Moral, Doucet & Jasra 2012, doi:10.1007/s11222-011-9271-y).
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.distributions.observed import factorises, observed_log_prob
from zoo.tasks.impute.gaps import each, repeated

BISECTIONS = 20
"""Of the power t: enough for a millionth."""


def first_codes(model: LatentVariableModel, batch: Batch, count: int, pool: int) -> Tensor:
    """``count`` codes for each of B examples, of a pool of so many: (count B, D).

    Examples share a pool, unless a model is told a condition. Codes are those of the prior as they
    come where p(x_o|z) is not known, because elements follow each other.
    """
    if batch.condition is None:
        return _chosen(model, batch, count, pool).flatten(0, 1)
    alone = (each(batch, lambda column: column[i : i + 1]) for i in range(len(batch.x)))  # noqa: B023
    return torch.cat([_chosen(model, row, count, pool) for row in alone], dim=1).flatten(0, 1)


def fitting(log_likelihood: Tensor, count: int) -> Tensor:
    """Probabilities (B, K) of codes of log-likelihoods (B, K), flat enough for ``count`` of them.

    >>> fitting(torch.tensor([[0.0, 0.0, -1.0]]), 2)
    tensor([[0.4223, 0.4223, 0.1554]])
    >>> fitting(torch.tensor([[0.0, -1e9, -1e9, -1e9]]), 2).square().sum() <= 1 / 2
    tensor(True)
    """
    low, high = torch.zeros_like(log_likelihood[:, :1]), torch.ones_like(log_likelihood[:, :1])
    power = high  # (B, 1)
    for _ in range(BISECTIONS):
        enough = 1 / (log_likelihood * power).softmax(1).square().sum(1, keepdim=True) >= count
        low, high = torch.where(enough, power, low), torch.where(enough, high, power)
        power = (low + high) / 2
    return (log_likelihood * low).softmax(1)


def _chosen(model: LatentVariableModel, batch: Batch, count: int, pool: int) -> Tensor:
    """Of examples that share a pool and its condition, (count, B, D)."""
    examples = len(batch.x)
    told = None if batch.condition is None else repeated(batch.condition, pool)
    codes = model.draw_codes(pool, 1.0, None, told)  # (K, D)
    log_likelihood = _fit(model, codes, told, batch)
    if log_likelihood is None:
        told = None if told is None else told[:count]
        own = model.draw_codes(count * examples, 1.0, None, told)  # (count B, D)
        return torch.unflatten(own, 0, (count, examples))
    return codes[fitting(log_likelihood, count).multinomial(count, replacement=True).T]


def _fit(
    model: LatentVariableModel, codes: Tensor, told: Tensor | None, batch: Batch
) -> Tensor | None:
    """log p(x_o|z) of each example and code, (B, K), or None where it is not known."""
    assert batch.observed is not None
    columns = []
    for place in range(0, len(codes), model.decode_batch):
        some = slice(place, place + model.decode_batch)
        p = model.decode(codes[some], None if told is None else told[some])
        if not factorises(p):
            return None
        rows = zip(batch.x, batch.observed, strict=True)
        columns.append(torch.stack([observed_log_prob(p, x, seen) for x, seen in rows]))  # (B, k)
    return torch.cat(columns, dim=1)
