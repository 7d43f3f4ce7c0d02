"""UniVAE: one Transformer is encoder and decoder (Su 2021, kexue.fm/archives/8475)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import pad

from zoo.core.batch import Batch
from zoo.core.condition import check_told
from zoo.core.draws import Draws, LatentDraw, reparameterised
from zoo.core.latent_space import Product
from zoo.core.reading import as_codes, given_codes
from zoo.distributions.precision import full_precision
from zoo.likelihoods import Likelihood
from zoo.posteriors import space_of
from zoo.priors import Given
from zoo.variants.univae.attention import draws_per_example, repeat_batch
from zoo.variants.univae.config import UniVAEConfig
from zoo.variants.univae.decoding import Decoding
from zoo.variants.univae.generation import DRAW, TokenByToken
from zoo.variants.univae.image_tokens import ImageTokens
from zoo.variants.univae.latents import Latent
from zoo.variants.univae.rotary import Rotary, rotary
from zoo.variants.univae.state import DECODER, ENCODER, DecoderState
from zoo.variants.univae.text_tokens import TextTokens
from zoo.variants.univae.transformer import RMSNorm, TransformerLayer

DECODED_NUMBERS = 2**24
"""Activations of all that is decoded at a time: some 0.4 GB with what they pass through."""
CACHED_NUMBERS = 2**21
"""As many stay near a CPU's cores, which weights draws of images 1.6 times as fast."""
Step = Callable[..., Tensor]
Choose = Callable[[int, Distribution], Tensor]
"""The latents (N, d) of a group, by its number, of their posteriors."""


class UniVAE(TokenByToken):
    r"""p(x|z) autoregressive over tokens, prod_l p(z_l), and q(z|x) = prod_l q(z_l | z_<l, x).

    Tokens are the patches of an image, or the pieces of a sentence.

    A Transformer reads the tokens of x twice with the same weights, after a start token each: as
    encoder, where every position attends to all, and as decoder, where it attends to those before
    it. Neither attends to the other, but for this: before each of the last layers the encoder's
    state at the start token becomes a posterior, is overwritten by a projection of the draw z_l,
    and is a prefix that all of the decoder's positions attend to as well. So all that the decoder
    knows of x comes through the draws, and the next posterior depends on those before.

    Because nothing else joins the halves, they run one after the other, not as one sequence of
    twice the length; decoding needs no encoder; and the layers before the first latent are run
    once for any number of draws, as is what the first layer with one has of x alone. A code is the
    latents in the order of the layers, (B, G d).

    >>> model = UniVAE(UniVAEConfig(input_shape=(1, 28, 28), layers=5))
    >>> model(torch.zeros(3, 1, 28, 28)).kl.shape, model.code_dim
    (torch.Size([3, 4]), 64)
    """

    Config = UniVAEConfig
    reads = ("images", "text")
    config: UniVAEConfig

    def __init__(self, config: UniVAEConfig) -> None:
        super().__init__(config, config.tokenizer)
        self.tokens = (ImageTokens if config.tokenizer is None else TextTokens).of(config)
        self.start = nn.Parameter(torch.randn(config.width).mul_(0.02))
        self.segment_embedding = nn.Parameter(torch.randn(2, config.width).mul_(0.02))
        self.dropout = nn.Dropout(config.dropout)
        sizes = config.width, config.heads, config.hidden, config.layers, config.dropout
        plain = config.layers - config.groups
        self.lower = nn.ModuleList(TransformerLayer(*sizes) for _ in range(plain))
        self.upper = nn.ModuleList(TransformerLayer(*sizes) for _ in range(config.groups))
        self.latents = nn.ModuleList(
            Latent(config.width, config.latent_dim, config.posterior) for _ in range(config.groups)
        )
        space = space_of(config.posterior, config.latent_dim)
        self.space = Product((space,) * config.groups)
        self.prior = config.prior.build(space, config.input_shape)  # of each group
        self.norm = RMSNorm(config.width)

    # -- what it infers, decodes and draws

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        batch = self.prepared(batch)
        given = given_codes(self, samples, given, batch.x.shape[0])
        parts = None if given is None else self.grouped(given).flatten(0, 1).unbind(1)  # (S B, d)

        def choose(group: int, q: Distribution) -> Tensor:
            return reparameterised(q) if parts is None else parts[group]

        latents = self._infer(batch.x, samples if given is None else len(given), choose)
        z = torch.cat([latent.apart(latent.z) for latent in latents], dim=-1)  # (S, B, G d)
        return Draws(latents, partial(self.decode, z), batch, partial(self._code, batch.x), z)

    def encode(self, batch: Tensor | Batch | Sequence[str]) -> Tensor:
        """The modes of all posteriors, each given those before it, of examples or sentences."""
        return self._code(self.prepared(batch).x)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        """p(x|z) for codes (..., G d), batch shape (...)."""
        check_told(self, condition)
        return self.tokens.distribution(self, self.grouped(z), tuple(self.config.input_shape))

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        drawn = self.prior.sample(n * self.config.groups, self._given, temperature, generator)
        return drawn.view(n, self.code_dim)

    # -- the two passes

    def _infer(self, x: Tensor, samples: int, choose: Choose) -> list[LatentDraw]:
        """The encoder's pass: S latents of each group, chosen of posteriors of batch (S B,).

        The layers before the first latent read each x once.
        """
        tokens = self.tokens.split(x)  # (B, T, ...)
        rotary, mask = self.rotary(1 + tokens.shape[1]), self._padding_mask(tokens)
        state = self.embed_sequence(self.tokens.embed(tokens), ENCODER)  # (B, 1 + T, W)
        # Nothing reads the encoder's states of the last layer, and of the one before it only that
        # at the start token.
        *layers, last = self.stack[:-1]
        steps: list[Step] = [*(layer.with_prefix for layer in layers), last.prefix_only]
        plain, p = len(self.lower), self.prior(self._given)
        for step in steps[:plain]:
            state = step(state[:, :1], state[:, 1:], rotary, mask=mask)
        start_state = repeat_batch(state[:, 0], samples)  # (S B, W)
        draws: list[LatentDraw] = []
        for group, latent in enumerate(self.groups):
            if group:
                prefix = self.groups[group - 1].prefix(draws[-1].z)  # (S B, 1, W)
                state = steps[plain + group - 1](prefix, state[:, 1:], rotary, mask=mask)
                start_state = state[:, 0]  # (S B, W)
                if mask is not None:
                    mask = repeat_batch(mask, draws_per_example(state, mask))
            q = latent(start_state, p)
            draws.append(LatentDraw(choose(group, q), q, p, (samples, x.shape[0])))
        return draws

    def _code(self, x: Tensor) -> Tensor:
        def mode(group: int, q: Distribution) -> Tensor:
            return self.groups[group].posterior.code(q)

        return torch.cat([latent.z for latent in self._infer(x, 1, mode)], dim=-1)  # (B, G d)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """The decoder's pass: log p(x|z) for examples (B, ...), latents (S, B, G, d): (S, B)."""
        tokens = self.tokens.split(x)  # (B, T, ...)
        rotary = self.rotary(tokens.shape[1])
        state = self.embed_sequence(self.tokens.embed(tokens[:, :-1]), DECODER)  # (B, T, W)
        for layer in self.lower:
            state = layer(state, rotary, causal=True)
        rotary, latents = rotary.repeat_first(), z.flatten(0, 1).unbind(1)  # (S B, d)
        upper = self.stack[len(self.lower) :]  # each with the latent before it
        for layer, latent, chosen in zip(upper, self.groups, latents, strict=True):
            whole = layer.with_prefix(latent.prefix(chosen), state, rotary, causal=True)
            state = whole[:, 1:]  # (S B, T, W)
        state = self.norm(state).view(*z.shape[:2], *state.shape[1:])  # (S, B, T, W)
        return self.tokens.log_prob(state, tokens).sum(-1)

    @torch.no_grad()
    def generate(self, codes: Tensor, decoding: Decoding) -> Tensor:
        # Several sequences an example multiply the rows, which are to be bounded all the same.
        most = self.examples_within(DECODED_NUMBERS) // decoding.width
        at_once = codes.shape[0] if decoding.width == 1 else most
        parts = torch.split(self.grouped(codes), max(1, at_once))  # (n, G, d) each
        prefill = partial(DecoderState, self)
        return torch.cat([decoding.generate(prefill, part, self.tokens) for part in parts])

    def draw(self, z: Tensor) -> Tensor:
        """Draws (N, ...) from p(x|z) for latents (N, G, d)."""
        return self.generate(z.flatten(1), DRAW)

    @property
    def clamps(self) -> bool:
        """Where tokens have classes, of which those that fit can be told."""
        return self.tokens.has_classes

    def draw_clamped(
        self, z: Tensor, x: Tensor, observed: Tensor, forced: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See :class:`zoo.distributions.autoregressive.AutoregressiveModel`."""
        given, seen, kept = (self.tokens.split(each).unbind(1) for each in (x, observed, forced))
        sequences = DecoderState(self, z)
        made: list[Tensor] = []
        weights: list[Tensor] = []
        for token, is_seen, is_kept in zip(given, seen, kept, strict=True):
            if made:
                sequences.append(made[-1])
            log_p = self.tokens.class_logits(sequences.state).log_softmax(-1)  # (N, V)
            fitting = log_p.masked_fill(~self.tokens.fitting(token, is_seen), -torch.inf)
            drawn = self.tokens.from_classes(fitting.softmax(-1).multinomial(1).squeeze(-1))
            made.append(torch.where(is_kept, token, drawn))
            weights.append(fitting.logsumexp(-1))
        found = self.tokens.join(torch.stack(made, dim=1))  # (N, *event)
        return found[..., : x.shape[-1]], torch.stack(weights).sum(0)  # no wider than x was padded

    # -- what both passes are made of

    @property
    def stack(self) -> list[TransformerLayer]:
        """All layers, in their order."""
        return cast("list[TransformerLayer]", [*self.lower, *self.upper])

    @property
    def groups(self) -> list[Latent]:
        """The latents of the upper layers."""
        return cast("list[Latent]", list(self.latents))

    @property
    def _given(self) -> Given:
        return Given(full_precision(self.start))

    def embed_sequence(self, vectors: Tensor, segment: int) -> Tensor:
        """The start token and what follows, (B, 1 + T, W), each at its position."""
        start = self.start.expand(vectors.shape[0], 1, -1)  # (B, 1, W)
        return self.add_positions(torch.cat([start, vectors], dim=1), segment, 0)

    def add_positions(self, vectors: Tensor, segment: int, first: int) -> Tensor:
        """Vectors (B, t, W) of a segment at the positions from ``first`` on."""
        in_segment = vectors + self.segment_embedding[segment]
        placed: Tensor = self.dropout(self.tokens.add_positions(in_segment, first))
        return placed

    def rotary(self, count: int) -> Rotary:
        """Of the start token and what follows, so many in all."""
        positions = self.tokens.positions(self.start)[:count]
        return rotary(positions, self.config.width // self.config.heads)

    def _padding_mask(self, tokens: Tensor) -> Tensor | None:
        """Which of the encoder's positions are attended to, (B, 1, 1, 1 + T); None for all."""
        padding = self.tokens.padding(tokens)  # (B, T)
        return None if padding is None else ~pad(padding, (1, 0))[:, None, None]

    def grouped(self, codes: Tensor) -> Tensor:
        """Codes (..., G d) as latents (..., G, d)."""
        codes = as_codes(self, codes, self.code_dim)
        return codes.view(*codes.shape[:-1], self.config.groups, self.config.latent_dim)

    # -- what it says of itself

    @property
    def likelihood(self) -> Likelihood:  # type: ignore[override]
        """That of a token, which the tokens hold."""
        return self.tokens.likelihood

    @property
    def group_widths(self) -> tuple[int, ...]:
        return (self.config.latent_dim,) * self.config.groups

    @property
    def code_variance(self) -> float | None:
        return self.prior.variance

    @property
    def decode_batch(self) -> int:
        """Fewer, the longer the sequences and the larger the vocabulary."""
        # Most texts are far shorter than they might be.
        in_cache = self.start.device.type == "cpu" and self.input_kind != "tokens"
        return self.examples_within(CACHED_NUMBERS if in_cache else DECODED_NUMBERS)

    def examples_within(self, numbers: int) -> int:
        """Of how many examples the activations are at most so many."""
        each = self.tokens.length * (4 * self.config.width + self.tokens.vocabulary)
        return max(1, min(super().decode_batch, numbers // each))
