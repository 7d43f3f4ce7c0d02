"""The log-probability of one token among many, without a full-precision copy of all logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from zoo.distributions.precision import full_precision

ROWS = 32
"""Whose logits are normalised together: few enough to stay in a core's cache."""


def token_log_prob(state: Tensor, table: Tensor, bias: Tensor, ids: Tensor) -> Tensor:
    r"""log softmax(h W^T + b) at ``ids``, (N,), of states (N, W), a table (V, W), biases (V,).

    Differentiable once. What is kept for that are the probabilities, in the logits' own memory and
    precision (that of autocast, where it is on); sums and the result are in full precision. In
    bfloat16, for 1,500 tokens among 10,000 words, half the time of ``linear`` and ``cross_entropy``
    forward and backward on a CPU, and a quarter of ``linear_cross_entropy``'s.

    >>> token_log_prob(torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(4), torch.tensor([0, 1]))
    tensor([-1.3863, -1.3863])
    """
    device = state.device.type
    autocast = torch.is_autocast_enabled(device)
    lower = torch.get_autocast_dtype(device) if autocast else state.dtype
    keep = torch.is_grad_enabled()  # within the function it always says no
    found: Tensor = _TokenLogProb.apply(state, table, bias, ids, lower, keep)  # type: ignore[no-untyped-call]
    return found


class _TokenLogProb(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        state: Tensor,
        table: Tensor,
        bias: Tensor,
        ids: Tensor,
        lower: torch.dtype,
        keep: bool,
    ) -> Tensor:
        ctx.dtypes = state.dtype, table.dtype, bias.dtype
        state, table = state.to(lower), table.to(lower)
        logits = torch.addmm(bias.to(lower), state, table.T)  # (N, V)
        found = []
        for part, chosen in zip(torch.split(logits, ROWS), torch.split(ids, ROWS), strict=True):
            log_probs = full_precision(part).log_softmax(-1)  # (ROWS, V)
            found.append(log_probs.gather(1, chosen[:, None]).squeeze(1))
            if keep:
                part.copy_(log_probs.exp_())
        ctx.save_for_backward(state, table, logits, ids)
        return torch.cat(found)  # (N,)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        state, table, probabilities, ids = ctx.saved_tensors
        of_state, of_table, of_bias = ctx.dtypes
        weights = gradient[:, None]  # (N, 1)
        lower = weights.to(state.dtype)
        to_state = lower * (table[ids] - probabilities @ table)  # (N, W)
        to_table = (probabilities.T @ (lower * state)).to(of_table).neg_()  # (V, W)
        to_table.index_add_(0, ids, (weights * state).to(of_table))
        to_bias = (probabilities.T @ lower).to(of_bias).neg_().squeeze(1)  # (V,)
        to_bias.index_add_(0, ids, gradient.to(of_bias))
        return to_state.to(of_state), to_table, to_bias, None, None, None
