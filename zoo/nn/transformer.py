"""Transformer layers with rotary positions, for whole sequences and for one token at a time.

Pre-normalised blocks with gated feed-forward parts. Sequences are tensors (B, T, W).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention, silu

from zoo.distributions.precision import full_precision

ROTARY_BASE = 10_000.0
MOST_SCORES = 2**26
"""Of one layer that are held where a kernel need not: 128 MB in half precision, twice in full."""


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean x^2 + 1e-6), scaled: torch's default term differs from dtype to dtype."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)


class Rotation(NamedTuple):
    """Cosines and sines (T, D / 2) of the angles by which T positions turn D numbers in pairs."""

    cos: Tensor
    sin: Tensor

    def turn(self, x: Tensor) -> Tensor:
        """Vectors (..., T, D), number i paired with number i + D / 2."""
        first, second = x.chunk(2, dim=-1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def at(self, start: int, stop: int) -> Rotation:
        """That of the positions ``start`` to ``stop``."""
        return Rotation(self.cos[start:stop], self.sin[start:stop])

    def behind_first(self) -> Rotation:
        """With the first position once more, in front."""
        return Rotation(torch.cat([self.cos[:1], self.cos]), torch.cat([self.sin[:1], self.sin]))


def rotation(positions: Tensor, width: int) -> Rotation:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864) on one or several axes, (T, A).

    Products of turned vectors depend on differences of positions alone. Each axis turns its share
    of the pairs: pair i of n by the position times 10,000^(-i / n). ``width`` D must be a multiple
    of 2 A.

    >>> turns = rotation(torch.tensor([[0.0], [1.0], [5.0], [6.0]]), 8)
    >>> q, k = turns.turn(torch.ones(4, 8)), turns.turn(torch.arange(8.0).expand(4, 8))
    >>> torch.allclose(q[1] @ k[0], q[3] @ k[2])
    True
    """
    pairs = width // (2 * positions.shape[-1])
    steps = torch.arange(pairs, dtype=positions.dtype, device=positions.device)
    angles = (positions[..., None] * ROTARY_BASE ** (-steps / pairs)).flatten(-2)
    return Rotation(angles.cos(), angles.sin())


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
        so_far = self.memory[:, :, :, : self.filled]
        return so_far[0], so_far[1]

    def select(self, rows: Tensor) -> None:
        """Go on with these examples of the batch, as many as it has, in that order."""
        if self.memory is not None:
            so_far = self.memory[:, :, :, : self.filled]
            so_far.copy_(so_far[:, rows])


class OnePosition(NamedTuple):
    """Query, key and value of one position, each (B, H, 1, D)."""

    q: Tensor
    k: Tensor
    v: Tensor


class Attention(nn.Module):
    """Each position looks at all, or with ``causal`` at itself and those before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.look = nn.Linear(width, 3 * width, bias=False)
        self.leave = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Tensor,
        turns: Rotation,
        causal: bool = False,
        allowed: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Sequences of the same shape.

        ``allowed``, a boolean tensor that broadcasts to (B, H, T, T), says instead which position
        sees which. With a ``cache``, x holds either the first positions or the next one.
        """
        q, k, v = self._heads(x, self.look.weight, 3)
        q, k = turns.turn(q), turns.turn(k)
        # What comes next sees all. Not asked of the shapes, which torch.compile may not know.
        causal = causal and (cache is None or cache.filled == 0)
        if cache is not None:
            k, v = cache.extend(k, v)
        return self._joined(_attend(q, k, v, allowed, causal))

    def behind(
        self,
        first: Tensor,
        x: Tensor,
        turns: Rotation,
        causal: bool = False,
        allowed: Tensor | None = None,
    ) -> Tensor:
        """The same for sequences (S B, 1 + T, W) that differ in their first position alone.

        Number s B + b is first[s B + b], of (S B, 1, W), and then x[b], of (B, T, W). ``allowed``,
        of (B, 1, 1, 1 + T), says which positions all see, the first among them. What the x see of
        themselves is computed once: values v of scores a that average to o do so, with v_0 of
        score a_0, to o + sigmoid(a_0 - log sum exp a) (v_0 - o).
        """
        q, k, v = self._heads(x, self.look.weight, 3)
        turns_of_x = turns.at(1, 1 + x.shape[1])
        q, k = turns_of_x.turn(q), turns_of_x.turn(k)
        own = self._own(first, turns)
        among_x = None if allowed is None else allowed[..., 1:]
        seen = _attend_one_more(q, k, v, among_x, causal, own.k, own.v)
        by_first = own.v if causal else _attend_all(own, k, v, allowed)
        return self._joined(torch.cat([by_first, seen], dim=2))

    def first(
        self, first: Tensor, x: Tensor, turns: Rotation, allowed: Tensor | None = None
    ) -> Tensor:
        """Of :meth:`behind` without a causal mask the first position, (S B, 1, W), alone."""
        k, v = self._heads(x, self.look.weight[x.shape[2] :], 2)
        k = turns.at(1, 1 + x.shape[1]).turn(k)
        return self._joined(_attend_all(self._own(first, turns), k, v, allowed))

    def _own(self, first: Tensor, turns: Rotation) -> OnePosition:
        q, k, v = self._heads(first, self.look.weight, 3)
        turns = turns.at(0, 1)
        return OnePosition(turns.turn(q), turns.turn(k), v)

    def _heads(self, x: Tensor, weight: Tensor, count: int) -> Tensor:
        """Queries, keys and values, or so many of them, (count, B, H, T, D)."""
        return rearrange(linear(x, weight), "b t (n h d) -> n b h t d", n=count, h=self.heads)

    def _joined(self, seen: Tensor) -> Tensor:
        left: Tensor = self.leave(rearrange(seen, "b h t d -> b t (h d)"))
        return left


def _attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, causal: bool) -> Tensor:
    """Scaled dot-product attention of (B, H, T, D)."""
    if q.device.type != "cpu":
        return scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=causal)
    # The CPU's kernel takes 13 times as long backwards in half precision as in full. Products of
    # matrices take half the time of the latter, but keep all scores for the way back.
    scores = q.shape[:3].numel() * k.shape[2]
    with torch.autocast("cpu", enabled=False):
        if q.dtype == torch.bfloat16 and scores <= MOST_SCORES:
            return _attend_by_products(q, k, v, allowed, causal)
        dtype = q.dtype
        q, k, v = full_precision(q), full_precision(k), full_precision(v)
        seen = scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=causal)
        return seen.to(dtype)


def _attend_by_products(
    q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, causal: bool
) -> Tensor:
    """The definition of :func:`_attend`."""
    return _scores(q, k, allowed, causal).softmax(-1) @ v


def _scores(q: Tensor, k: Tensor, allowed: Tensor | None, causal: bool) -> Tensor:
    """Before the softmax, -inf where nothing is seen; like torch's, ``allowed`` or ``causal``."""
    assert allowed is None or not causal
    scores = (q / math.sqrt(q.shape[3])) @ k.mT
    if causal:
        allowed = torch.ones(scores.shape[2:], dtype=torch.bool, device=q.device).tril()
    if allowed is not None:  # added, as only that costs nothing backwards
        scores = scores + torch.zeros_like(allowed, dtype=q.dtype).masked_fill(~allowed, -torch.inf)
    return scores


def _attend_one_more(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    allowed: Tensor | None,
    causal: bool,
    one_k: Tensor,
    one_v: Tensor,
) -> Tensor:
    """:func:`_attend` of (B, H, T, D) to one key more that all see, each of (S B, H, 1, D).

    Returns (S B, H, T, D); see :meth:`Attention.behind`.
    """
    dtype = v.dtype
    with torch.autocast(q.device.type, enabled=False):
        q, k, one_k = full_precision(q), full_precision(k), full_precision(one_k)
        scores = _scores(q, k, allowed, causal)
        seen = scores.softmax(-1).to(dtype) @ v
        one_k, one_v = (one.view(-1, *q.shape[:2], *one.shape[2:]) for one in (one_k, one_v))
        more = torch.einsum("bhtd,sbhod->sbhto", q / math.sqrt(q.shape[3]), one_k)
        weight = (more - scores.logsumexp(-1, keepdim=True)).sigmoid().to(dtype)
        return torch.lerp(seen, one_v, weight).flatten(0, 1)


def _attend_all(own: OnePosition, k: Tensor, v: Tensor, allowed: Tensor | None) -> Tensor:
    """What positions (S B, H, 1, D) see of themselves and of the keys (B, H, T, D) behind them."""
    times = _draws(own.q, k)
    if allowed is not None:
        allowed = repeated(allowed, times)
    k = torch.cat([own.k, repeated(k, times)], dim=2)
    v = torch.cat([own.v, repeated(v, times)], dim=2)
    return _attend(own.q, k, v, allowed, causal=False)


def _draws(first: Tensor, x: Tensor) -> int:
    """S of batches (S B, ...) and (B, ...), which may be empty."""
    return max(1, len(first)) // max(1, len(x))


def repeated(batch: Tensor, times: int) -> Tensor:
    """So many copies of a batch, one after another."""
    return batch if times == 1 else batch.repeat(times, *[1] * (batch.ndim - 1))


class GatedFeedForward(nn.Module):
    """silu(gate) value, each a projection to ``hidden`` numbers (arXiv:2002.05202), and back."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, 2 * hidden, bias=False)
        self.leave = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Sequences of the same shape."""
        gate, value = self.enter(x).chunk(2, dim=-1)
        left: Tensor = self.leave(silu(gate) * value)
        return left


class TransformerLayer(nn.Module):
    """x + attention, then + feed-forward, each reading the normalised sum so far.

    ``depth`` is the number of layers in the stack: what each adds starts so small that the sum
    of all has the size of one.

    >>> layer = TransformerLayer(width=32, heads=4, hidden=64, depth=6)
    >>> turns = rotation(torch.arange(5.0)[:, None], 8)
    >>> layer(torch.zeros(2, 5, 32), turns, causal=True).shape
    torch.Size([2, 5, 32])
    """

    def __init__(
        self, width: int, heads: int, hidden: int, depth: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.before_attention = RMSNorm(width)
        self.attention = Attention(width, heads)
        self.before_feed_forward = RMSNorm(width)
        self.feed_forward = GatedFeedForward(width, hidden)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for part in (self.attention, self.feed_forward):
                part.leave.weight.div_(math.sqrt(2 * depth))

    def forward(
        self,
        x: Tensor,
        turns: Rotation,
        causal: bool = False,
        allowed: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Sequences of the same shape; the arguments are :class:`Attention`'s."""
        seen = self.attention(self.before_attention(x), turns, causal, allowed, cache)
        return self._fed(x + self.dropout(seen))

    def behind(
        self,
        first: Tensor,
        x: Tensor,
        turns: Rotation,
        causal: bool = False,
        allowed: Tensor | None = None,
    ) -> Tensor:
        """The same for sequences that differ in their first position; see :meth:`Attention.behind`.

        >>> layer = TransformerLayer(width=32, heads=4, hidden=64, depth=6)
        >>> turns = rotation(torch.arange(6.0)[:, None], 8)
        >>> layer.behind(torch.zeros(6, 1, 32), torch.zeros(2, 5, 32), turns).shape
        torch.Size([6, 6, 32])
        """
        first = first.to(x.dtype)  # that of the sum so far; under autocast a latent's is half
        times, length = _draws(first, x), x.shape[1]
        whole = torch.cat([first, repeated(x, times)], dim=1)
        if times == 1 or len(x) * self.attention.heads * length**2 > MOST_SCORES:
            if allowed is not None:
                allowed = repeated(allowed, times)
            ordinary: Tensor = self(whole, turns, causal, allowed)
            return ordinary
        first, x = self.before_attention(first), self.before_attention(x)
        seen = self.attention.behind(first, x, turns, causal, allowed)
        return self._fed(whole + self.dropout(seen))

    def first(
        self, first: Tensor, x: Tensor, turns: Rotation, allowed: Tensor | None = None
    ) -> Tensor:
        """Of :meth:`behind` without a causal mask the first position, (S B, 1, W), alone."""
        first = first.to(x.dtype)
        normal = self.before_attention(first), self.before_attention(x)
        seen = self.attention.first(*normal, turns, allowed)
        return self._fed(first + self.dropout(seen))

    def _fed(self, x: Tensor) -> Tensor:
        fed: Tensor = x + self.dropout(self.feed_forward(self.before_feed_forward(x)))
        return fed
