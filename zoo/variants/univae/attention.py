"""Attention for whole sequences, for one token at a time, and for many that share all but a prefix.

Sequences are tensors (B, T, W), their queries, keys and values (B, H, T, D).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from zoo.distributions.precision import full_precision
from zoo.variants.univae.rotary import Rotary

MAX_SCORES = 2**26
"""Of one layer that are held where a kernel need not: 128 MB in half precision, twice in full."""


class KeyValueCache:
    """Keys and values of one layer's positions so far, in memory for all there will be."""

    def __init__(self, length: int) -> None:
        self.length, self.filled = length, 0
        self.memory: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add those of the next positions, (B, H, t, D); returns those of all so far."""
        if self.memory is None:
            batch, heads, _, width = keys.shape
            self.memory = keys.new_empty(2, batch, heads, self.length, width)
        start, self.filled = self.filled, self.filled + keys.shape[2]
        self.memory[0, :, :, start : self.filled] = keys
        self.memory[1, :, :, start : self.filled] = values
        cached = self.memory[:, :, :, : self.filled]  # (2, B, H, t so far, D)
        return cached[0], cached[1]

    def select(self, rows: Tensor) -> None:
        """Go on with these examples of the batch, as many as it has, in that order."""
        if self.memory is not None:
            cached = self.memory[:, :, :, : self.filled]
            cached.copy_(cached[:, rows])


class PrefixQKV(NamedTuple):
    """Query, key and value of the prefix, each (S B, H, 1, D)."""

    q: Tensor
    k: Tensor
    v: Tensor


class Attention(nn.Module):
    """Each position attends to all, or with ``causal`` to itself and those before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Tensor,
        rotary: Rotary,
        causal: bool = False,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Sequences of the same shape.

        ``mask``, a boolean tensor that broadcasts to (B, H, T, T), says instead which position
        attends to which. With a ``cache``, x holds either the first positions or the next one.
        """
        q, k, v = self._project_heads(x, self.qkv.weight, 3)  # (B, H, T, D) each
        q, k = rotary.rotate(q), rotary.rotate(k)
        # What comes next attends to all. Not asked of the shapes, which torch.compile may not know.
        causal = causal and (cache is None or cache.filled == 0)
        if cache is not None:
            k, v = cache.extend(k, v)
        return self._merge_heads(attend(q, k, v, mask, causal))

    def with_prefix(
        self,
        prefix: Tensor,
        x: Tensor,
        rotary: Rotary,
        causal: bool = False,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The same for sequences (S B, 1 + T, W) that differ in their first position alone.

        Number s B + b is prefix[s B + b], of (S B, 1, W), and then x[b], of (B, T, W). ``mask``,
        of (B, 1, 1, 1 + T), says which positions all attend to, the prefix among them. What the x
        have of themselves is computed once: values v of scores a that average to o do so, with v_0
        of score a_0, to o + sigmoid(a_0 - log sum exp a) (v_0 - o).
        """
        q, k, v = self._project_heads(x, self.qkv.weight, 3)  # (B, H, T, D) each
        rotary_of_x = rotary.at(1, 1 + x.shape[1])
        q, k = rotary_of_x.rotate(q), rotary_of_x.rotate(k)
        p = self._prefix_qkv(prefix, rotary)
        mask_of_x = None if mask is None else mask[..., 1:]  # (B, 1, 1, T)
        attended = _attention_with_prefix(q, k, v, mask_of_x, causal, p.k, p.v)  # (S B, H, T, D)
        prefix_attended = p.v if causal else _prefix_attention(p, k, v, mask)  # (S B, H, 1, D)
        return self._merge_heads(torch.cat([prefix_attended, attended], dim=2))  # (S B, 1 + T, W)

    def prefix_only(
        self, prefix: Tensor, x: Tensor, rotary: Rotary, mask: Tensor | None = None
    ) -> Tensor:
        """Of :meth:`with_prefix` without a causal mask the prefix, (S B, 1, W), alone."""
        k, v = self._project_heads(x, self.qkv.weight[x.shape[2] :], 2)  # (B, H, T, D)
        k = rotary.at(1, 1 + x.shape[1]).rotate(k)
        return self._merge_heads(_prefix_attention(self._prefix_qkv(prefix, rotary), k, v, mask))

    def _prefix_qkv(self, prefix: Tensor, rotary: Rotary) -> PrefixQKV:
        q, k, v = self._project_heads(prefix, self.qkv.weight, 3)  # (S B, H, 1, D) each
        rotary = rotary.at(0, 1)
        return PrefixQKV(rotary.rotate(q), rotary.rotate(k), v)

    def _project_heads(self, x: Tensor, weight: Tensor, count: int) -> Tensor:
        """Queries, keys and values, or so many of them, (count, B, H, T, D)."""
        return rearrange(linear(x, weight), "b t (n h d) -> n b h t d", n=count, h=self.heads)

    def _merge_heads(self, attended: Tensor) -> Tensor:
        merged: Tensor = self.out(rearrange(attended, "b h t d -> b t (h d)"))  # (B, T, W)
        return merged


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Scaled dot-product attention of (B, H, T, D)."""
    if q.device.type != "cpu":
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    # The CPU's kernel takes 13 times as long backwards in half precision as in full. Products of
    # matrices take half the time of the latter, but keep all scores for the way back.
    scores = math.prod(q.shape[:3]) * k.shape[2]
    with torch.autocast("cpu", enabled=False):
        if q.dtype == torch.bfloat16 and scores <= MAX_SCORES:
            return _math_attention(q, k, v, mask, causal)
        dtype = q.dtype
        q, k, v = full_precision(q), full_precision(k), full_precision(v)
        attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return attended.to(dtype)


def _math_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """The definition of :func:`attend`."""
    return _scores(q, k, mask, causal).softmax(-1) @ v


def _scores(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Before the softmax (B, H, T, T), -inf where masked; like torch's, ``mask`` or ``causal``."""
    assert mask is None or not causal
    scores = (q / math.sqrt(q.shape[3])) @ k.mT  # (B, H, T, T)
    if causal:
        mask = torch.ones(scores.shape[2:], dtype=torch.bool, device=q.device).tril()  # (T, T)
    if mask is not None:  # added, as only that costs nothing backwards
        scores = scores + torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -torch.inf)
    return scores


def _attention_with_prefix(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    causal: bool,
    prefix_k: Tensor,
    prefix_v: Tensor,
) -> Tensor:
    """:func:`attend` of (B, H, T, D) to a prefix as well that all attend to, of (S B, H, 1, D).

    Returns (S B, H, T, D); see :meth:`Attention.with_prefix`.
    """
    dtype = v.dtype
    with torch.autocast(q.device.type, enabled=False):
        q, k, prefix_k = full_precision(q), full_precision(k), full_precision(prefix_k)
        scores = _scores(q, k, mask, causal)  # (B, H, T, T)
        attended = scores.softmax(-1).to(dtype) @ v  # (B, H, T, D)
        prefix_k, prefix_v = (
            each.view(-1, *q.shape[:2], *each.shape[2:]) for each in (prefix_k, prefix_v)
        )  # (S, B, H, 1, D)
        prefix_scores = torch.einsum("bhtd,sbhod->sbhto", q / math.sqrt(q.shape[3]), prefix_k)
        weight = (prefix_scores - scores.logsumexp(-1, keepdim=True)).sigmoid().to(dtype)
        return torch.lerp(attended, prefix_v, weight).flatten(0, 1)


def _prefix_attention(prefix_qkv: PrefixQKV, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """What prefixes (S B, H, 1, D) have of themselves and of the keys (B, H, T, D) after them."""
    times = draws_per_example(prefix_qkv.q, k)
    if mask is not None:
        mask = repeat_batch(mask, times)  # (S B, 1, 1, 1 + T)
    k = torch.cat([prefix_qkv.k, repeat_batch(k, times)], dim=2)  # (S B, H, 1 + T, D)
    v = torch.cat([prefix_qkv.v, repeat_batch(v, times)], dim=2)
    return attend(prefix_qkv.q, k, v, mask, causal=False)


def draws_per_example(prefix: Tensor, x: Tensor) -> int:
    """S of batches (S B, ...) and (B, ...), which may be empty."""
    return max(1, prefix.shape[0]) // max(1, x.shape[0])


def repeat_batch(batch: Tensor, times: int) -> Tensor:
    """So many copies of a batch, one after another."""
    return batch if times == 1 else batch.repeat(times, *[1] * (batch.ndim - 1))
