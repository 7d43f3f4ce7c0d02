"""UniVAE: one Transformer is encoder and decoder (Su 2021, kexue.fm/archives/8475)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Annotated, cast, overload

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence
from torch.nn.functional import pad
from typing_extensions import Self

from zoo.modalities.tokenizer import Tokenizer
from zoo.distributions.autoregressive import (
    Autoregressive,
    AutoregressiveDensity,
    AutoregressiveMass,
    AutoregressiveText,
)
from zoo.errors import DataError, UnsupportedError
from zoo.geometry import geodesic_path, great_circle, linear_path, straight_line
from zoo.modalities.base import described
from zoo.core.model import ElboTerms, InputKind, ModelConfig, LatentVariableModel, check_draws
from zoo.nn.backbones import by_name
from zoo.nn.decoding import Beam, Decoding, Draw, Greedy, generate
from zoo.nn.latents import FixedVMFPosterior, Latent, PosteriorChoice, build_prior, is_flat
from zoo.nn.likelihoods import (
    AnyLikelihoodConfig,
    BernoulliConfig,
    CategoricalConfig,
    GaussianConfig,
)
from zoo.nn.tokens import ImageTokens, TextTokens
from zoo.nn.transformer import (
    KeyValueCache,
    RMSNorm,
    Rotation,
    TransformerLayer,
    repeated,
    rotation,
)
from zoo.randomness import seeded
from zoo.settings import shortened

MAX_BITS = 12
"""Of a binary patch, whose distribution has a class for each of 2^K patterns."""
ENCODING, DECODING = 0, 1
ROW_NUMBERS = 2**24
"""Activations of all rows that are decoded at a time: some 0.4 GB with what they pass through."""
CACHED_NUMBERS = 2**21
"""As many stay near a CPU's cores, which weights draws of images 1.6 times as fast."""
GREEDY, DRAW = Greedy(), Draw()

TokenLikelihood = Annotated[
    AnyLikelihoodConfig | CategoricalConfig, Field(discriminator="name"), BeforeValidator(by_name)
]


class UniVAEConfig(ModelConfig):
    """The last ``groups`` of the ``layers`` carry one latent vector each.

    A latent is made of the state before its layer, so the first layer cannot have one.
    """

    input_shape: tuple[int, int, int] | tuple[int]
    """Of an image, or the most tokens that a sentence has, its end among them."""
    tokenizer: str | None = None
    """Of text: the data's, as JSON."""
    patch: Annotated[int, Field(ge=1, le=8)] | None = None
    """Side of the square patches that are an image's tokens; None is 2 where that tiles it, else 1.
    """
    width: int = Field(128, ge=8, le=4096)
    heads: int = Field(4, ge=1, le=64)
    layers: int = Field(6, ge=2, le=64)
    hidden: int = Field(344, ge=1, le=16384)
    """Of a layer's feed-forward part."""
    groups: int = Field(4, ge=1, le=64)
    latent_dim: int = Field(16, ge=2, le=4096)
    posterior: PosteriorChoice = FixedVMFPosterior()
    dropout: float = Field(0.0, ge=0, lt=1)
    likelihood: TokenLikelihood = BernoulliConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        is_text = len(self.input_shape) == 1
        if self.width % (4 * self.heads):  # of text too: any width that suits images suits it
            raise ValueError(
                f"width {self.width} must be a multiple of 4 times heads ({self.heads}), for "
                "rotary positions on two axes"
            )
        if is_text and self.patch is not None:
            raise ValueError("patch is for images; leave it out for text")
        if self.groups >= self.layers:
            raise ValueError(
                f"groups ({self.groups}) must be less than layers ({self.layers}): the first layer "
                "carries no latent"
            )
        if is_text != isinstance(self.likelihood, CategoricalConfig) or is_text == (
            self.tokenizer is None
        ):
            raise ValueError(
                "text, and text alone, has a tokenizer and the likelihood 'categorical'"
            )
        return self if is_text else self._check_patches()

    def _check_patches(self) -> Self:
        channels, height, width = cast("tuple[int, int, int]", self.input_shape)
        sides = [n for n in range(1, 9) if height % n == 0 == width % n]
        if self.side not in sides:
            raise ValueError(
                f"patches of {self.side} x {self.side} do not tile {height} x {width}; choose "
                f"patch among {sides}, or resize the images with image_size"
            )
        pixels = channels * self.side**2
        if isinstance(self.likelihood, BernoulliConfig) and pixels > MAX_BITS:
            raise ValueError(
                f"a binary patch has at most {MAX_BITS} pixels, {channels} channels of "
                f"{self.side} x {self.side} are {pixels}; choose a smaller patch"
            )
        return self

    @property
    def side(self) -> int:
        """Of an image's patches."""
        return math.gcd(2, *self.input_shape[1:]) if self.patch is None else self.patch


class UniVAE(LatentVariableModel):
    r"""p(x|z) autoregressive over tokens, prod_l p(z_l), and q(z|x) = prod_l q(z_l | z_<l, x).

    Tokens are the patches of an image, or the pieces of a sentence.

    A Transformer reads the tokens of x twice with the same weights, behind a start token each: as
    encoder, where every position sees all, and as decoder, where it sees those before it. Neither
    sees the other, but for this: before each of the last layers the encoder's state at the start
    token becomes a posterior, is overwritten by a projection of the draw z_l, and is what all of
    the decoder's positions see as well. So all that the decoder knows of x comes through the draws,
    and the next posterior depends on those before.

    Because nothing else joins the halves, they run one after the other, not as one sequence of
    twice the length; decoding needs no encoder; and the layers before the first latent are run
    once for any number of draws, as is what the first layer with one has of x alone. A code is the
    latents in the order of the layers, (B, G d).

    >>> model = UniVAE(UniVAEConfig(input_shape=(1, 28, 28), layers=5))
    >>> model.elbo_terms(torch.zeros(3, 1, 28, 28)).kl.shape, model.code_dim
    (torch.Size([3, 4]), 64)
    """

    Config = UniVAEConfig
    config: UniVAEConfig

    def __init__(self, config: UniVAEConfig) -> None:
        super().__init__(config)
        self.tokens = _build_tokens(config)
        self.start = nn.Parameter(_small(config.width))
        self.halves = nn.Parameter(_small(2, config.width))
        self.dropout = nn.Dropout(config.dropout)
        sizes = config.width, config.heads, config.hidden, config.layers, config.dropout
        plain = config.layers - config.groups
        self.lower = nn.ModuleList(TransformerLayer(*sizes) for _ in range(plain))
        self.upper = nn.ModuleList(TransformerLayer(*sizes) for _ in range(config.groups))
        self.latents = nn.ModuleList(
            Latent(config.width, config.latent_dim, config.posterior) for _ in range(config.groups)
        )
        self.prior = build_prior(config.posterior, config.latent_dim)
        self.norm = RMSNorm(config.width)

    @property
    def input_kind(self) -> InputKind:
        return self.tokens.input_kind

    @property
    def code_dim(self) -> int:
        return self.config.groups * self.config.latent_dim

    @property
    def group_widths(self) -> tuple[int, ...]:
        return (self.config.latent_dim,) * self.config.groups

    @property
    def code_variance(self) -> float:
        return 1.0 if self._flat else 1 / self.config.latent_dim

    @property
    def rows(self) -> int:
        """Fewer, the longer the sequences and the larger the vocabulary."""
        vocabulary, most = 0, ROW_NUMBERS
        if isinstance(self.tokens, TextTokens):
            vocabulary = len(self.tokens.bias)
        elif self.start.device.type == "cpu":  # most texts are far shorter than `length`
            most = CACHED_NUMBERS
        numbers = self.tokens.length * (4 * self.config.width + vocabulary)
        return max(1, min(super().rows, most // numbers))

    @property
    def _flat(self) -> bool:
        """Whether latents are vectors of any length, not directions."""
        return is_flat(self.config.posterior)

    def elbo_terms(self, x: Tensor) -> ElboTerms:
        kl: list[Tensor] = []

        def choose(q: Distribution) -> Tensor:
            z = q.rsample()
            kl.append(kl_divergence(q, self.prior(z)))
            return z

        z = self.infer(x, 1, choose)
        return ElboTerms(self.log_likelihood(x, z).squeeze(0), torch.stack(kl, dim=1))

    def log_weights(self, x: Tensor, samples: int) -> Tensor:
        latents: list[Tensor] = []

        def choose(q: Distribution) -> Tensor:
            z = q.rsample()
            latents.append(self.prior(z).log_prob(z) - q.log_prob(z))
            return z

        z = self.infer(x, samples, choose)
        return self.log_likelihood(x, z) + torch.stack(latents).sum(0).view(samples, len(x))

    def encode(self, x: Tensor | Sequence[str]) -> Tensor:
        """The modes of all posteriors, each given those before it, of examples or sentences."""
        x = x if isinstance(x, Tensor) else self.read(x)
        return self.infer(x, 1, lambda q: q.mode).squeeze(0).flatten(1)

    def log_posteriors(self, x: Tensor) -> Tensor:
        codes = self.infer(x, 1, lambda q: q.rsample()).squeeze(0)
        at_once = max(1, self.rows // max(1, len(x)))
        parts = torch.split(codes, at_once)
        return torch.cat([self._log_posterior(x, part) for part in parts])

    def _log_posterior(self, x: Tensor, z: Tensor) -> Tensor:
        """log q(z|x) of latents (S, G, d) given every x: (S, B)."""
        given, log_probs = iter(z.repeat_interleave(len(x), 0).unbind(1)), []

        def choose(q: Distribution) -> Tensor:
            chosen = next(given)
            log_probs.append(q.log_prob(chosen))
            return chosen

        self.infer(x, len(z), choose)
        return torch.stack(log_probs).sum(0).view(len(z), len(x))

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) for codes (..., G d), batch shape (...)."""
        return self._family(self, self._apart(z), tuple(self.config.input_shape))

    @property
    def _family(self) -> type[Autoregressive]:
        if isinstance(self.tokens, TextTokens):
            return AutoregressiveText
        is_density = isinstance(self.config.likelihood, GaussianConfig)
        return AutoregressiveDensity if is_density else AutoregressiveMass

    @torch.no_grad()
    def show(self, z: Tensor, decoding: Decoding = GREEDY) -> Tensor | list[str]:
        """Images (B, C, H, W) or sentences of codes, made token by token as ``decoding`` says.

        Unless told otherwise of the likeliest tokens, and of intensities of their mean.
        """
        if z.ndim != 2:
            raise UnsupportedError(
                f"give codes (B, {self.code_dim}), one as code[None], got {tuple(z.shape)}"
            )
        return self.write(self.generate(self._apart(z), decoding))

    def reconstruct(
        self, x: Tensor | Sequence[str], decoding: Decoding = GREEDY
    ) -> Tensor | list[str]:
        """What the codes of examples, or of sentences, look like; see :meth:`show`."""
        with torch.no_grad():
            return self.show(self.encode(x), decoding)

    def sample_codes(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        if temperature != 1 and not self._flat:
            raise UnsupportedError(
                f"a uniform prior on the sphere has no spread to scale: temperature must be 1, got "
                f"{temperature}; that of the tokens is "
                f"decoding=zoo.Draw(temperature={temperature}), or --decoding temperature=T"
            )
        check_draws(n, temperature)
        drawn = self.prior.sample(n * self.config.groups, temperature, generator, self.start)
        return drawn.view(n, self.code_dim)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        decoding: Decoding = DRAW,
    ) -> Tensor | list[str]:
        """Draws x ~ p(x|z) for ``n`` codes from the prior: images (n, C, H, W), or sentences.

        ``temperature`` is the prior's, that of the tokens is the ``decoding``'s.
        """
        codes = self.sample_codes(n, temperature, generator)
        with self._noise_of(generator):
            return self.show(codes, decoding)

    def _noise_of(self, generator: torch.Generator | None) -> AbstractContextManager[None]:
        """All noise from the generator where there is one."""
        if generator is None:
            return nullcontext()
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        return seeded(int(seed), self.start.device)

    @torch.no_grad()
    def edit(
        self,
        x: Tensor | Sequence[str],
        groups: Sequence[int],
        generator: torch.Generator | None = None,
        decoding: Decoding = GREEDY,
    ) -> Tensor | list[str]:
        """Reconstructions in which the latents of ``groups``, from 0, are drawn from the prior.

        The others keep what they say of x, so this shows what each decides. Raises
        UnsupportedError for a group there is not.

        >>> model = UniVAE(UniVAEConfig(input_shape=(1, 28, 28), layers=5))
        >>> model.edit(torch.zeros(2, 1, 28, 28), groups=[0, 3]).shape
        torch.Size([2, 1, 28, 28])
        """
        known = range(self.config.groups)
        if not isinstance(groups, Sequence) or any(group not in known for group in groups):
            raise UnsupportedError(
                f"give a list of groups of latents, numbered 0 to {known[-1]}, got {groups!r}"
            )
        codes = self._apart(self.encode(x))
        drawn = self._apart(self.sample_codes(len(codes), generator=generator))
        chosen = torch.tensor([group in groups for group in known], device=codes.device)
        with self._noise_of(generator):
            mixed = torch.where(chosen[:, None], drawn, codes)
            return self.show(mixed.flatten(1), decoding)

    def read(self, sentences: Sequence[str]) -> Tensor:
        """The ids (B, T) of sentences, for the other methods of a model of text.

        White space around a sentence is no part of it, as in a corpus. Raises DataError for a
        sentence that is empty, too long or has unknown tokens, and UnsupportedError where the model
        reads images.
        """
        tokenizer = self.tokenizer
        several = isinstance(sentences, Iterable) and not isinstance(sentences, str)
        listed = list(sentences) if several else []
        if not several or not all(isinstance(each, str) for each in listed):
            raise DataError(
                f"give a list of sentences, for one as [sentence], got {shortened(sentences)}"
            )
        listed = [each.strip() for each in listed]
        ids = tokenizer.ids(listed, strict=True)
        if ids.shape[1] > self.tokens.length:  # said for the sentence that is too long
            tokenizer.ids(listed, self.tokens.length)
        return ids.to(self.start.device)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What cuts and joins sentences."""
        if self.config.tokenizer is None:
            raise UnsupportedError("this model reads images; it has no tokenizer")
        return Tokenizer(self.config.tokenizer)

    def check_input(self, x: Tensor) -> None:
        if isinstance(self.tokens, ImageTokens):
            super().check_input(x)
        else:
            self._check_ids(x)
        # A look at the values makes the host wait. A training's are its own, and what is compiled
        # is called by `log_prob`, which has looked.
        if not (self.training or torch.compiler.is_compiling()):
            self.tokens.check(x)

    def _check_ids(self, x: Tensor) -> None:
        length, is_tensor = self.tokens.length, isinstance(x, Tensor)
        if not is_tensor or x.ndim != 2 or x.dtype != torch.int64 or x.shape[1] > length:
            raise DataError(
                f"expected ids int64 of shape (batch, at most {length}), got {described(x)}; "
                "read(sentences) makes them"
            )

    def write(self, x: Tensor) -> Tensor | list[str]:
        if isinstance(self.tokens, ImageTokens):
            return x.clamp(0, 1)
        self._check_ids(x)
        self.tokens.check_vocabulary(x)
        return self.tokenizer.text(x)

    @overload
    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor: ...
    @overload
    def interpolate(self, start: str, end: str, steps: int) -> list[str]: ...

    def interpolate(self, start: Tensor | str, end: Tensor | str, steps: int) -> Tensor | list[str]:
        """``steps`` codes from ``start`` to ``end``, each latent on its shortest way.

        Between two sentences: the sentences of the codes between theirs, their own
        reconstructions first and last.
        """
        if isinstance(start, str) and isinstance(end, str):
            with torch.no_grad():
                ends = self.encode([start, end])
                return cast("list[str]", self.show(self.interpolate(ends[0], ends[1], steps)))
        for given in (start, end):
            if not isinstance(given, Tensor) or given.shape[-1] != self.code_dim:
                what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
                raise UnsupportedError(
                    f"give two codes (..., {self.code_dim}), or two sentences, got {what}"
                )
        start, end = cast("Tensor", start), cast("Tensor", end)
        path = linear_path if self._flat else geodesic_path
        return path(self._apart(start), self._apart(end), steps).flatten(-2)

    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        """Codes that leave ``code`` along ``direction``: (A, ..., G d).

        On spheres each latent turns by the angles ``amounts``; one whose direction is zero stays.
        """
        if self._flat:
            return straight_line(code, direction, amounts)
        code, direction = self._apart(code), self._apart(direction)
        still = (direction == 0).all(-1, keepdim=True)
        # Any direction will do where none is followed: the axis that the code has least of.
        least = torch.zeros_like(code).scatter_(-1, code.abs().argmin(-1, keepdim=True), 1.0)
        turned = great_circle(code, torch.where(still, least, direction), amounts)
        return torch.where(still, code, turned).flatten(-2)

    def infer(self, x: Tensor, samples: int, choose: Callable[[Distribution], Tensor]) -> Tensor:
        """The encoder's pass: latents (S, B, G, d), each chosen from its posterior, batch (S B,).

        The layers before the first latent read each x once.
        """
        self.check_input(x)
        tokens = self.tokens.split(x)
        turns = self._turns(1 + tokens.shape[1])
        seen = self._seen(tokens)
        state = self._begin(self.tokens.embed(tokens), ENCODING)
        plain, latents = len(self.lower), cast("list[Latent]", list(self.latents))
        # Nothing reads the encoder's states of the last layer, and of the one before it only that
        # at the start token.
        *layers, last = cast("list[TransformerLayer]", [*self.lower, *self.upper[:-1]])
        steps: list[Callable[..., Tensor]] = [*(layer.behind for layer in layers), last.first]
        for step in steps[:plain]:
            state = step(state[:, :1], state[:, 1:], turns, allowed=seen)
        first = repeated(state[:, 0], samples)
        chosen = [choose(latents[0].posterior(first))]
        for step, before, latent in zip(steps[plain:], latents[:-1], latents[1:], strict=True):
            state = step(before.seen(chosen[-1]), state[:, 1:], turns, allowed=seen)
            if seen is not None:
                seen = repeated(seen, len(state) // max(1, len(seen)))
            chosen.append(choose(latent.posterior(state[:, 0])))
        drawn = torch.stack(chosen, dim=1)
        return drawn.view(samples, len(x), *drawn.shape[1:])

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """The decoder's pass: log p(x|z) for examples (B, ...), latents (S, B, G, d): (S, B)."""
        tokens = self.tokens.split(x)
        turns = self._turns(tokens.shape[1])
        state = self._begin(self.tokens.embed(tokens[:, :-1]), DECODING)
        for layer in self.lower:
            state = layer(state, turns, causal=True)
        turns, latents = turns.behind_first(), z.flatten(0, 1).unbind(1)
        for (layer, latent), chosen in zip(self._bearing(), latents, strict=True):
            state = layer.behind(latent.seen(chosen), state, turns, causal=True)[:, 1:]
        state = self.norm(state).view(*z.shape[:2], *state.shape[1:])
        return self.tokens.log_prob(state, tokens).sum(-1)

    @torch.no_grad()
    def generate(self, z: Tensor, decoding: Decoding) -> Tensor:
        """Examples (N, ...) for latents (N, G, d), token by token."""
        # Beams multiply the rows, which are to be bounded all the same.
        at_once = self.rows // decoding.width if isinstance(decoding, Beam) else len(z)
        made = [
            generate(lambda latents: Growing(self, latents), part, self.tokens, decoding)
            for part in torch.split(z, max(1, at_once))
        ]
        return torch.cat(made)

    def draw(self, z: Tensor) -> Tensor:
        """Draws (N, ...) from p(x|z) for latents (N, G, d)."""
        return self.generate(z, DRAW)

    def _bearing(self) -> Iterator[tuple[TransformerLayer, Latent]]:
        """The last layers, each with its latent."""
        layers = cast("list[TransformerLayer]", list(self.upper))
        return zip(layers, cast("list[Latent]", list(self.latents)), strict=True)

    def _begin(self, vectors: Tensor, half: int) -> Tensor:
        """The start token and what follows, (B, 1 + T, W), each at its place in its half."""
        start = self.start.expand(len(vectors), 1, -1)
        return self._placed(torch.cat([start, vectors], dim=1), half, 0)

    def _placed(self, vectors: Tensor, half: int, position: int) -> Tensor:
        placed: Tensor = self.dropout(self.tokens.placed(vectors + self.halves[half], position))
        return placed

    def _turns(self, count: int) -> Rotation:
        """Of the start token and what follows, so many in all."""
        positions = self.tokens.positions(self.start)[:count]
        return rotation(positions, self.config.width // self.config.heads)

    def _seen(self, tokens: Tensor) -> Tensor | None:
        """Which of the encoder's positions are seen, (B, 1, 1, 1 + T); None for all."""
        hidden = self.tokens.hidden(tokens)
        return None if hidden is None else ~pad(hidden, (1, 0))[:, None, None]

    def _apart(self, codes: Tensor) -> Tensor:
        """Codes (..., G d) as latents (..., G, d)."""
        if codes.shape[-1] != self.code_dim:
            raise UnsupportedError(
                f"a code of this model has {self.code_dim} numbers, got {tuple(codes.shape)}"
            )
        return codes.view(*codes.shape[:-1], self.config.groups, self.config.latent_dim)


class Growing:
    """Sequences that grow token by token, for latents (N, G, d), each layer's keys and values kept.

    ``state`` (N, W) is what the next tokens are chosen by.
    """

    def __init__(self, model: UniVAE, z: Tensor) -> None:
        self.model, self.length = model, 0
        length = model.tokens.length
        self.turns = model._turns(length)
        self.caches = [KeyValueCache(1 + length) for _ in range(model.config.layers)]
        memories = [latent.seen(z[:, g]) for g, (_, latent) in enumerate(model._bearing())]
        vectors = z.new_zeros(len(z), 0, model.config.width)
        self.state = self._first(model._begin(vectors, DECODING), memories)

    def append(self, tokens: Tensor) -> None:
        """Add the next tokens, (N, ...)."""
        self.length += 1
        vectors = self.model.tokens.embed(tokens[:, None])
        state = self.model._placed(vectors, DECODING, self.length)
        turns = self.turns.at(self.length, self.length + 1)
        layers = cast("list[TransformerLayer]", [*self.model.lower, *self.model.upper])
        for layer, cache in zip(layers, self.caches, strict=True):
            state = layer(state, turns, causal=True, cache=cache)
        self.state = self.model.norm(state[:, 0])

    def select(self, rows: Tensor) -> None:
        """Go on with these sequences (N,), as many as there are, in that order."""
        for cache in self.caches:
            cache.select(rows)

    def _first(self, state: Tensor, memories: list[Tensor]) -> Tensor:
        """The state at the start token, (N, 1, W), behind which the latents stand."""
        lower, upper = self.caches[: len(self.model.lower)], self.caches[len(self.model.lower) :]
        turns = self.turns.at(0, 1)
        for layer, cache in zip(self.model.lower, lower, strict=True):
            state = layer(state, turns, causal=True, cache=cache)
        for (layer, _), cache, memory in zip(self.model._bearing(), upper, memories, strict=True):
            both = torch.cat([memory, state], dim=1)
            state = layer(both, turns.behind_first(), causal=True, cache=cache)[:, 1:]
        chosen_by: Tensor = self.model.norm(state[:, 0])
        return chosen_by


def _build_tokens(config: UniVAEConfig) -> ImageTokens | TextTokens:
    if isinstance(config.likelihood, CategoricalConfig):
        vocabulary = len(Tokenizer(cast("str", config.tokenizer)))
        return TextTokens(config.input_shape[0], vocabulary, config.width)
    shape = cast("tuple[int, int, int]", config.input_shape)
    return ImageTokens(shape, config.side, config.width, config.likelihood)


def _small(*shape: int) -> Tensor:
    return 0.02 * torch.randn(shape)
