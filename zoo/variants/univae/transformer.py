"""Transformer layers: pre-normalised blocks with gated feed-forward parts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from zoo.variants.univae.attention import (
    MAX_SCORES,
    Attention,
    KeyValueCache,
    draws_per_example,
    repeat_batch,
)
from zoo.variants.univae.rotary import Rotary


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean x^2 + 1e-6), scaled: torch's default term differs from dtype to dtype."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)


class GatedFeedForward(nn.Module):
    """silu(gate) value, each a projection to ``hidden`` numbers (arXiv:2002.05202), and back."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Sequences of the same shape."""
        gate, value = self.up(x).chunk(2, dim=-1)  # (B, T, hidden) each
        out: Tensor = self.down(silu(gate) * value)
        return out


class TransformerLayer(nn.Module):
    """x + attention, then + feed-forward, each reading the normalised sum so far.

    ``depth`` is the number of layers in the stack: what each adds starts so small that the sum
    of all has the size of one.

    >>> from zoo.variants.univae.rotary import rotary
    >>> layer = TransformerLayer(width=32, heads=4, hidden=64, depth=6)
    >>> layer(torch.zeros(2, 5, 32), rotary(torch.arange(5.0)[:, None], 8), causal=True).shape
    torch.Size([2, 5, 32])
    """

    def __init__(
        self, width: int, heads: int, hidden: int, depth: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = RMSNorm(width)
        self.feed_forward = GatedFeedForward(width, hidden)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for last in (self.attention.out, self.feed_forward.down):
                last.weight.div_(math.sqrt(2 * depth))

    def forward(
        self,
        x: Tensor,
        rotary: Rotary,
        causal: bool = False,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Sequences of the same shape; the arguments are :class:`Attention`'s."""
        attended = self.attention(self.attention_norm(x), rotary, causal, mask, cache)
        return self._add_feed_forward(x + self.dropout(attended))

    def with_prefix(
        self,
        prefix: Tensor,
        x: Tensor,
        rotary: Rotary,
        causal: bool = False,
        mask: Tensor | None = None,
    ) -> Tensor:
        """For sequences that differ in their prefix alone; see :meth:`Attention.with_prefix`.

        >>> from zoo.variants.univae.rotary import rotary
        >>> layer = TransformerLayer(width=32, heads=4, hidden=64, depth=6)
        >>> angles = rotary(torch.arange(6.0)[:, None], 8)
        >>> layer.with_prefix(torch.zeros(6, 1, 32), torch.zeros(2, 5, 32), angles).shape
        torch.Size([6, 6, 32])
        """
        prefix = prefix.to(x.dtype)  # that of the sum so far; under autocast a latent's is half
        times, length = draws_per_example(prefix, x), x.shape[1]
        whole = torch.cat([prefix, repeat_batch(x, times)], dim=1)  # (S B, 1 + T, W)
        if times == 1 or x.shape[0] * self.attention.heads * length**2 > MAX_SCORES:
            if mask is not None:
                mask = repeat_batch(mask, times)
            output: Tensor = self(whole, rotary, causal, mask)
            return output
        prefix, x = self.attention_norm(prefix), self.attention_norm(x)
        attended = self.attention.with_prefix(prefix, x, rotary, causal, mask)
        return self._add_feed_forward(whole + self.dropout(attended))

    def prefix_only(
        self, prefix: Tensor, x: Tensor, rotary: Rotary, mask: Tensor | None = None
    ) -> Tensor:
        """Of :meth:`with_prefix` without a causal mask the prefix, (S B, 1, W), alone."""
        prefix = prefix.to(x.dtype)
        normal = self.attention_norm(prefix), self.attention_norm(x)
        attended = self.attention.prefix_only(*normal, rotary, mask)
        return self._add_feed_forward(prefix + self.dropout(attended))

    def _add_feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return out
