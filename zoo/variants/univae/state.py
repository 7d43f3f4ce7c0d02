"""The decoder between two tokens: what it keeps so that the next one costs one position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.errors import UnsupportedError
from zoo.variants.univae.attention import KeyValueCache

if TYPE_CHECKING:
    from zoo.variants.univae.model import UniVAE

ENCODER, DECODER = 0, 1
"""The segments: x is read twice."""


class DecoderState:
    """Sequences that grow token by token, for latents (N, G, d), each layer's keys and values kept.

    ``state`` (N, W) is what the next tokens are chosen by. Raises UnsupportedError within
    torch.export: a graph would hold the decoder once for each token.
    """

    def __init__(self, model: UniVAE, z: Tensor) -> None:
        if torch.compiler.is_exporting():
            raise UnsupportedError(
                f"x is made token by token, by up to {model.tokens.length} passes of the decoder, "
                "too many for an exported graph; export Encode(model) of zoo.core.export, or the "
                "model itself, whose log p(x|z) takes one pass"
            )
        self.model, self.position = model, 0
        length = model.tokens.length
        self.rotary = model.rotary(1 + length)
        self.caches = [KeyValueCache(1 + length) for _ in range(model.config.layers)]
        prefixes = [latent.prefix(z[:, g]) for g, latent in enumerate(model.groups)]
        vectors = z.new_zeros(z.shape[0], 0, model.config.width)  # (N, 0, W)
        self.state = self._prefill(model.embed_sequence(vectors, DECODER), prefixes)

    def append(self, tokens: Tensor) -> None:
        """Add the next tokens, (N, ...)."""
        self.position += 1
        vectors = self.model.tokens.embed(tokens[:, None])  # (N, 1, W)
        state = self.model.add_positions(vectors, DECODER, self.position)
        rotary = self.rotary.at(self.position, self.position + 1)
        for layer, cache in zip(self.model.stack, self.caches, strict=True):
            state = layer(state, rotary, causal=True, cache=cache)
        self.state = self.model.norm(state[:, 0])

    def select(self, rows: Tensor) -> None:
        """Go on with these sequences (N,), as many as there are, in that order."""
        for cache in self.caches:
            cache.select(rows)

    def _prefill(self, state: Tensor, prefixes: list[Tensor]) -> Tensor:
        """The state at the start token, of (N, 1, W), before which the latents stand."""
        plain, rotary = len(self.model.lower), self.rotary.at(0, 1)
        for layer, cache in zip(self.model.lower, self.caches[:plain], strict=True):
            state = layer(state, rotary, causal=True, cache=cache)
        upper = zip(self.model.upper, self.caches[plain:], prefixes, strict=True)
        for layer, cache, prefix in upper:
            both = torch.cat([prefix, state], dim=1)  # (N, 2, W)
            state = layer(both, rotary.repeat_first(), causal=True, cache=cache)[:, 1:]
        hidden: Tensor = self.model.norm(state[:, 0])  # (N, W)
        return hidden
