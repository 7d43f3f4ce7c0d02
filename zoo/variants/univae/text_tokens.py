"""Sentences as sequences of the ids of their tokens."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear, pad

from zoo.distributions.autoregressive import AutoregressiveText
from zoo.distributions.precision import full_precision
from zoo.errors import UnsupportedError
from zoo.likelihoods import Likelihood
from zoo.modalities.text import after_end
from zoo.modalities.tokenizer import END, PAD, Tokenizer
from zoo.variants.univae.config import UniVAEConfig
from zoo.variants.univae.tokens import Tokens
from zoo.variants.univae.vocabulary import token_log_prob


class TextTokens(Tokens):
    """Sentences as ids (B, T), each ended and then padded, of a vocabulary of V tokens.

    Vectors and logits share one table.
    """

    distribution = AutoregressiveText

    def __init__(self, length: int, vocabulary: int, width: int, likelihood: Likelihood) -> None:
        super().__init__()
        self.length, self.vocabulary = length, vocabulary
        self.token_likelihood = likelihood
        self.table = nn.Parameter(torch.randn(vocabulary, width).mul_(width**-0.5))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    @classmethod
    def of(cls, config: UniVAEConfig) -> TextTokens:
        """As a configuration says, which has a tokenizer."""
        vocabulary = len(Tokenizer(cast("str", config.tokenizer)))
        likelihood = config.likelihood.build(config.input_shape)
        return cls(config.length, vocabulary, config.width, likelihood)

    @property
    def likelihood(self) -> Likelihood:
        return self.token_likelihood

    def split(self, x: Tensor) -> Tensor:
        """The ids themselves."""
        return x

    def join(self, tokens: Tensor) -> Tensor:
        """The ids (B, T) of the first tokens (B, t), with padding after the end."""
        ids = tokens.masked_fill(after_end(tokens), PAD)
        return pad(ids, (0, self.length - ids.shape[1]), value=PAD)

    def embed(self, tokens: Tensor) -> Tensor:
        return embedding(tokens, self.table)

    def add_positions(self, vectors: Tensor, first: int) -> Tensor:
        """The vectors: positions are rotary alone."""
        return vectors

    def positions(self, like: Tensor) -> Tensor:
        """(1 + T, 1): the start at 0, tokens from 1 on."""
        return torch.arange(1 + self.length, device=like.device, dtype=like.dtype)[:, None]

    def padding(self, tokens: Tensor) -> Tensor:
        return tokens == PAD

    def log_prob(self, state: Tensor, tokens: Tensor) -> Tensor:
        ids = tokens.expand(state.shape[:-1])  # (..., B, T)
        if state.device.type != "cpu" or torch.compiler.is_exporting():
            logits = self.class_logits(state).flatten(0, -2)  # (... B T, V)
            losses = cross_entropy(logits, ids.flatten(), reduction="none", ignore_index=PAD)
            return -losses.view(ids.shape)
        # Finding the real ones, a device's host would wait, and a graph's shapes depend on values.
        is_token = ids != PAD
        found = token_log_prob(state[is_token], self.table, self._bias, ids[is_token])
        return found.new_zeros(ids.shape).masked_scatter(is_token, found)

    def draw(self, state: Tensor) -> Tensor:
        return self.class_logits(state).softmax(-1).multinomial(1).squeeze(-1)

    def likeliest(self, state: Tensor) -> Tensor:
        return self.class_logits(state).argmax(-1)

    def mean(self, state: Tensor) -> Tensor:
        raise UnsupportedError(
            "sentences have no mean: use Greedy(), Beam(...) or Draw(...) as their decoding"
        )

    def class_logits(self, state: Tensor) -> Tensor:
        """(..., V) given states (..., W); padding has probability 0."""
        return full_precision(linear(state, self.table, self._bias))

    @property
    def has_classes(self) -> bool:
        return True

    def fitting(self, tokens: Tensor, observed: Tensor) -> Tensor:
        """Where a token is missing, any that is no end: how long sentences are is known."""
        every = torch.arange(self.vocabulary, device=tokens.device)
        itself = every == tokens[:, None]  # (N, V)
        inner = (every != PAD) & (every != END)
        is_padding = (tokens == PAD)[:, None]  # (N, 1)
        return torch.where(observed[:, None], itself, inner) | is_padding

    def from_classes(self, classes: Tensor) -> Tensor:
        """The ids themselves."""
        return classes

    def ended(self, tokens: Tensor) -> Tensor:
        """Which of the latest tokens (N,) are an end, or padding after one."""
        return (tokens == END) | (tokens == PAD)

    @property
    def _bias(self) -> Tensor:
        """Of all tokens, (V,): this and not the logits, which are many, excludes padding."""
        is_padding = torch.arange(len(self.bias), device=self.bias.device) == PAD
        return self.bias.masked_fill(is_padding, -torch.inf)
