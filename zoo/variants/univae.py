"""UniVAE: one Transformer is encoder and decoder (Su 2021, kexue.fm/archives/8475)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.distributions import Distribution, constraints, kl_divergence
from typing_extensions import Self

from zoo.geometry import geodesic_path, great_circle, linear_path, straight_line
from zoo.model import ElboTerms, InputKind, ModelConfig, VariationalAutoencoder
from zoo.nn.latents import (
    AnyPosteriorConfig,
    FixedVMFConfig,
    GaussianPosteriorConfig,
    PosteriorChoice,
    build_head,
    build_prior,
)
from zoo.nn.likelihoods import BernoulliConfig, GaussianConfig, Likelihood
from zoo.nn.patches import BinaryPatches, build_patches, join_patches, split_patches
from zoo.nn.transformer import KeyValueCache, RMSNorm, Rotation, TransformerLayer, rotation
from zoo.randomness import seeded

MAX_BITS = 12
"""Of a binary patch, whose distribution has a class for each of 2^K patterns."""
ENCODING, DECODING = 0, 1
IMAGE_AXES = 2


class UniVAEConfig(ModelConfig):
    """The last ``groups`` of the ``layers`` carry one latent vector each.

    A group below the last layer makes the state before it, so the first layers must be without:
    ``groups`` is less than ``layers``.
    """

    input_shape: tuple[int, int, int]
    patch: int = Field(2, ge=1, le=8)
    """Side of the square patches that are the tokens."""
    width: int = Field(128, ge=8, le=4096)
    heads: int = Field(4, ge=1, le=64)
    layers: int = Field(6, ge=2, le=64)
    hidden: int = Field(344, ge=1, le=16384)
    """Of a layer's feed-forward part."""
    groups: int = Field(4, ge=1, le=64)
    latent_dim: int = Field(16, ge=2, le=4096)
    posterior: PosteriorChoice = FixedVMFConfig()
    dropout: float = Field(0.0, ge=0, lt=1)
    likelihood: Likelihood = BernoulliConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        channels, height, width = self.input_shape
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"patches of {self.patch} x {self.patch} do not tile {height} x {width}"
            )
        if isinstance(self.likelihood, BernoulliConfig) and self.pixels > MAX_BITS:
            raise ValueError(
                f"a binary patch has at most {MAX_BITS} pixels, {channels} channels of "
                f"{self.patch} x {self.patch} are {self.pixels}; choose a smaller patch"
            )
        if self.width % (2 * IMAGE_AXES * self.heads):
            raise ValueError(
                f"width {self.width} must be a multiple of {2 * IMAGE_AXES} times heads "
                f"({self.heads}), for rotary positions on two axes"
            )
        if self.groups >= self.layers:
            raise ValueError(f"groups ({self.groups}) must be less than layers ({self.layers})")
        return self

    @property
    def pixels(self) -> int:
        """Numbers in a patch."""
        return self.input_shape[0] * self.patch**2


class UniVAE(VariationalAutoencoder):
    r"""p(x|z) autoregressive over patches, prod_l p(z_l), and q(z|x) = prod_l q(z_l | z_<l, x).

    A Transformer reads the patches of x twice with the same weights, behind a start token each: as
    encoder, where every position sees all, and as decoder, where it sees those before it. Neither
    sees the other, but for this: before each of the last layers the encoder's state at the start
    token becomes a posterior, is overwritten by a projection of the draw z_l, and is what all of
    the decoder's positions see as well. So all that the decoder knows of x comes through the draws,
    and the next posterior depends on those before.

    Because nothing else joins the halves, they run one after the other, not as one sequence of
    twice the length; decoding needs no encoder; and the layers before the first latent are run
    once for any number of draws. A code is the latents in the order of the layers, (B, G d).

    >>> model = UniVAE(UniVAEConfig(input_shape=(1, 28, 28), layers=5))
    >>> model.elbo_terms(torch.zeros(3, 1, 28, 28)).kl.shape, model.code_dim
    (torch.Size([3, 4]), 64)
    """

    Config = UniVAEConfig
    config: UniVAEConfig

    def __init__(self, config: UniVAEConfig) -> None:
        super().__init__(config)
        _, height, width = config.input_shape
        self.grid = height // config.patch, width // config.patch
        self.tokens = self.grid[0] * self.grid[1]
        self.patches = build_patches(config.pixels, config.width, config.likelihood)
        self.start = nn.Parameter(_small(config.width))
        self.halves = nn.Parameter(_small(2, config.width))
        self.places = nn.Parameter(_small(1 + self.tokens, config.width))
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
        return "binary" if isinstance(self.patches, BinaryPatches) else "unit"

    @property
    def code_dim(self) -> int:
        return self.config.groups * self.config.latent_dim

    @property
    def code_variance(self) -> float:
        return 1.0 if self._flat else 1 / self.config.latent_dim

    @property
    def _flat(self) -> bool:
        """Whether latents are vectors of any length, not directions."""
        return isinstance(self.config.posterior, GaussianPosteriorConfig)

    def elbo_terms(self, x: Tensor) -> ElboTerms:
        kl: list[Tensor] = []

        def choose(q: Distribution) -> Tensor:
            z = q.rsample()
            kl.append(kl_divergence(q, self.prior(z)))
            return z

        z = self.infer(x, 1, choose)
        return ElboTerms(self.log_likelihood(x, z).squeeze(0), torch.stack(kl, dim=1))

    def log_weights(self, x: Tensor, samples: int) -> Tensor:
        latents = x.new_zeros(samples * len(x))

        def choose(q: Distribution) -> Tensor:
            nonlocal latents
            z = q.rsample()
            latents = latents + self.prior(z).log_prob(z) - q.log_prob(z)
            return z

        z = self.infer(x, samples, choose)
        return self.log_likelihood(x, z) + latents.view(samples, len(x))

    def encode(self, x: Tensor) -> Tensor:
        """The modes of all posteriors, each given those before it."""
        return self.infer(x, 1, lambda q: q.mode).squeeze(0).flatten(1)

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) for codes (..., G d), batch shape (...)."""
        family = AutoregressiveDensity if self._is_density else AutoregressiveMass
        return family(self, self._apart(z))

    @property
    def _is_density(self) -> bool:
        return isinstance(self.config.likelihood, GaussianConfig)

    def pictures(self, z: Tensor) -> Tensor:
        """Images (B, C, H, W) made of the likeliest patch given those before it."""
        return self.generate(self._apart(z), self.patches.likeliest)

    def sample_codes(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        drawn = self.prior.sample(n * self.config.groups, temperature, generator, self.start)
        return drawn.view(n, -1)

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws x ~ p(x|z) for ``n`` codes from the prior: (n, C, H, W) in [0, 1]."""
        likelihood = self.decode(self.sample_codes(n, temperature, generator))
        if generator is None:
            return likelihood.sample().clamp(0, 1)
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        with seeded(int(seed), self.start.device):
            return likelihood.sample().clamp(0, 1)

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """``steps`` codes from ``start`` to ``end``, each latent on its shortest way."""
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
        turns = self._turns(self.start)
        vectors = self.patches.embed(split_patches(x, self.config.patch))
        state = self._begin(vectors, ENCODING)
        for layer in self.lower:
            state = layer(state, turns)
        state, chosen = state.repeat(samples, 1, 1), []
        for layer, latent in self._bearing():
            z = choose(latent.posterior(state[:, 0]))
            chosen.append(z)
            if len(chosen) < len(self.upper):  # nothing reads the last layer's encoder states
                state = layer(torch.cat([latent.seen(z), state[:, 1:]], dim=1), turns)
        latents = torch.stack(chosen, dim=1)
        return latents.view(samples, len(x), *latents.shape[1:])

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """The decoder's pass: log p(x|z) for images (B, C, H, W), latents (S, B, G, d): (S, B)."""
        patches = split_patches(x, self.config.patch)
        turns = self._turns(self.start).at(0, self.tokens)
        state = self._begin(self.patches.embed(patches)[:, :-1], DECODING)
        for layer in self.lower:
            state = layer(state, turns, causal=True)
        state, behind = state.repeat(len(z), 1, 1), turns.behind_first()
        shared = z.flatten(0, 1).unbind(1)
        for (layer, latent), chosen in zip(self._bearing(), shared, strict=True):
            state = layer(torch.cat([latent.seen(chosen), state], dim=1), behind, causal=True)
            state = state[:, 1:]
        state = self.norm(state).view(*z.shape[:2], *state.shape[1:])
        return self.patches.log_prob(state, patches).sum(-1)

    @torch.no_grad()
    def generate(self, z: Tensor, pick: Callable[[Tensor], Tensor]) -> Tensor:
        """Images for latents (N, G, d), patch by patch; ``pick`` makes one of a state (N, W)."""
        turns = self._turns(self.start)
        caches = [KeyValueCache(1 + self.tokens) for _ in range(self.config.layers)]
        memories = [latent.seen(z[:, g]) for g, (_, latent) in enumerate(self._bearing())]
        state, picked = self._begin(z.new_zeros(len(z), 0, self.config.width), DECODING), []
        for position in range(self.tokens):
            state = self._extend(state, turns.at(position, position + 1), memories, caches)
            picked.append(pick(self.norm(state[:, 0])))
            vector = self.patches.embed(picked[-1][:, None])
            state = self._placed(vector, DECODING, position + 1)
        return join_patches(torch.stack(picked, 1), self.config.patch, self.config.input_shape)

    def _extend(
        self,
        state: Tensor,
        turns: Rotation,
        memories: list[Tensor],
        caches: list[KeyValueCache],
    ) -> Tensor:
        """The decoder's layers for the next position alone, (N, 1, W); the first brings latents."""
        lower, upper = caches[: len(self.lower)], caches[len(self.lower) :]
        for layer, cache in zip(self.lower, lower, strict=True):
            state = layer(state, turns, causal=True, cache=cache)
        for (layer, _), cache, memory in zip(self._bearing(), upper, memories, strict=True):
            if cache.filled:
                state = layer(state, turns, causal=True, cache=cache)
            else:
                both = torch.cat([memory, state], dim=1)
                state = layer(both, turns.behind_first(), causal=True, cache=cache)[:, 1:]
        return state

    def _bearing(self) -> Iterator[tuple[TransformerLayer, Latent]]:
        """The last layers, each with its latent."""
        layers = cast("list[TransformerLayer]", list(self.upper))
        return zip(layers, cast("list[Latent]", list(self.latents)), strict=True)

    def _begin(self, vectors: Tensor, half: int) -> Tensor:
        """The start token and what follows, (B, 1 + T, W), each at its place in its half."""
        start = self.start.expand(len(vectors), 1, -1)
        return self._placed(torch.cat([start, vectors], dim=1), half, 0)

    def _placed(self, vectors: Tensor, half: int, position: int) -> Tensor:
        places = self.places[position : position + vectors.shape[1]]
        placed: Tensor = self.dropout(vectors + self.halves[half] + places)
        return placed

    def _turns(self, like: Tensor) -> Rotation:
        """The start token lies at (0, 0), the patch of row r and column c at (r + 1, c + 1)."""
        rows, columns = (torch.arange(n, device=like.device, dtype=like.dtype) for n in self.grid)
        places = torch.cartesian_prod(rows + 1, columns + 1)
        positions = torch.cat([places.new_zeros(1, IMAGE_AXES), places])
        return rotation(positions, self.config.width // self.config.heads)

    def _apart(self, codes: Tensor) -> Tensor:
        """Codes (..., G d) as latents (..., G, d)."""
        return codes.view(*codes.shape[:-1], self.config.groups, self.config.latent_dim)


class Latent(nn.Module):
    """What one of the last layers does with the state at the start token."""

    def __init__(self, width: int, latent_dim: int, posterior: AnyPosteriorConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.head = build_head(posterior, width, latent_dim)
        self.spread = 1.0 if isinstance(posterior, GaussianPosteriorConfig) else latent_dim**0.5
        self.expand = nn.Linear(latent_dim, width)

    def posterior(self, state: Tensor) -> Distribution:
        """q(z_l | z_<l, x) of states (B, W)."""
        q: Distribution = self.head(self.norm(state))
        return q

    def seen(self, z: Tensor) -> Tensor:
        """What overwrites the state, (B, 1, W), of latents scaled to unit variance."""
        memory: Tensor = self.expand(self.spread * z)[:, None]
        return memory


class _AutoregressiveImage(Distribution):
    """p(x|z) over images (C, H, W) for latents (..., G, d), batch shape (...)."""

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, model: UniVAE, z: Tensor) -> None:
        self.model, self.z = model, z
        shape = torch.Size(model.config.input_shape)
        super().__init__(z.shape[:-2], shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Summed over patches, each given those before it: shape (...)."""
        batch = self.batch_shape
        if len(batch) > 1 and value.shape[:-3] == batch[1:]:  # the images are those of every draw
            z, x = self.z.flatten(1, -3), value.flatten(0, -4)
        else:
            z = self.z.reshape(1, -1, *self.z.shape[-2:])
            x = value.expand(batch + self.event_shape).reshape(-1, *self.event_shape)
        return self.model.log_likelihood(x, z).view(batch)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Images drawn patch by patch."""
        shape = torch.Size(sample_shape) + self.batch_shape
        z = self.z.expand(shape + self.z.shape[-2:]).reshape(-1, *self.z.shape[-2:])
        images = self.model.generate(z, self.model.patches.draw)
        return images.view(shape + self.event_shape)


class AutoregressiveMass(_AutoregressiveImage):
    """Of binary or 8-bit pixels."""

    support = constraints.independent(constraints.nonnegative_integer, 3)  # type: ignore[no-untyped-call]


class AutoregressiveDensity(_AutoregressiveImage):
    """Of continuous intensities."""

    support = constraints.independent(constraints.real, 3)  # type: ignore[no-untyped-call]


def _small(*shape: int) -> Tensor:
    return 0.02 * torch.randn(shape)
