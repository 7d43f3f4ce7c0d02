"""A hierarchical VAE with residual normal posteriors, after NVAE (arXiv:2007.03898), made small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod
from typing import Annotated, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import silu

from zoo.distributions.noise import standard_normal
from zoo.distributions.precision import full_precision
from zoo.errors import DataError, UnsupportedError
from zoo.core.model import (
    ElboTerms,
    InputKind,
    ModelConfig,
    LatentVariableModel,
    check_draws,
    check_temperature,
)
from zoo.nn.cells import DecoderCell, EncoderCell, innermost, nearly_zero
from zoo.nn.conv import doubling, map_sizes
from zoo.nn.flows import InverseAutoregressiveFlow
from zoo.nn.likelihoods import BernoulliConfig, Likelihood, build_likelihood
from zoo.nn.residual_normal import Gaussian, Visit
from zoo.nn.spectral import SpectralNorms
from zoo.settings import Settings

BOUND = 5.0
"""Of the networks' means and log-scales: what keeps the KL of an untrained model finite."""


class LevelConfig(Settings):
    """One resolution: the width of its maps, and how many residual cells work on them."""

    channels: Annotated[int, Field(ge=1, le=2048)] = 32
    cells: int = Field(1, ge=0, le=32)
    """On the way up and on the way down; where there are latents, for each group of them."""


class ScaleConfig(LevelConfig):
    """A resolution with ``groups`` of latents, each of ``latents`` maps."""

    channels: Annotated[int, Field(ge=1, le=2048)] = 48
    groups: int = Field(4, ge=1, le=64)
    latents: int = Field(8, ge=1, le=256)


class NVAELiteConfig(ModelConfig):
    """Resolutions from the coarsest, the top, to the finest; each halves the next, rounding up.

    ``scales`` hold the latents. The ``stem`` holds none; it stands between the finest scale and
    the pixels. With two scales and one level in the stem, 28 x 28 pixels become maps of 14 x 14 in
    the stem and of 7 x 7 and 4 x 4 in the scales.
    """

    input_shape: tuple[int, int, int]
    scales: tuple[ScaleConfig, ...] = Field((ScaleConfig(), ScaleConfig()), min_length=1)
    stem: tuple[LevelConfig, ...] = (LevelConfig(),)
    expansion: int = Field(4, ge=1, le=16)
    """How many times wider a decoder's cell is inside than outside."""
    flows: int = Field(0, ge=0, le=8)
    """Steps of inverse autoregressive flow in each group's posterior; 0 leaves it Gaussian."""
    spectral: float = Field(0.0, ge=0)
    """Weight of the convolutions' summed spectral norms in the training loss."""
    likelihood: Likelihood = BernoulliConfig()

    @property
    def levels(self) -> tuple[LevelConfig, ...]:
        """Scales and stem, from the coarsest on."""
        return self.scales + self.stem


class Group(NamedTuple):
    """A group of latents: its scale, its shape (L, H, W), and which part of a code it is."""

    scale: int
    shape: tuple[int, int, int]
    start: int
    stop: int


class NVAELite(LatentVariableModel):
    r"""p(x|z) prod_g p(z_g | z_<g), q(z|x) = prod_g q(z_g | z_<g, x), over groups g from the top.

    One path leads down through all groups and carries what was decided above. At each it says the
    prior N(mu, sigma^2), and together with the encoder's features the posterior
    N(mu + dmu, (sigma dsigma)^2). The group's draw joins the path, and cells work on both.

    A code is all groups one after the other, each flattened; :attr:`groups` says where each stands.
    :meth:`decode` also takes a code of the first groups alone and draws the others from the prior.

    >>> model = NVAELite(NVAELiteConfig(input_shape=(1, 28, 28)))
    >>> model.elbo_terms(torch.zeros(5, 1, 28, 28)).kl.shape, model.sample(2).shape
    (torch.Size([5, 8]), torch.Size([2, 1, 28, 28]))
    >>> [group.shape for group in model.groups[3:5]], model.code_dim
    ([(8, 4, 4), (8, 7, 7)], 2080)
    """

    Config = NVAELiteConfig
    config: NVAELiteConfig

    def __init__(self, config: NVAELiteConfig) -> None:
        super().__init__(config)
        self.likelihood = build_likelihood(config.likelihood)
        self.groups = _groups(config)
        self.encoder = Encoder(config)
        top = config.scales[0].channels, *self.groups[0].shape[1:]
        self.top = nn.Parameter(torch.randn(top))
        self.steps = nn.ModuleList(
            Step(config, group, above)
            for group, above in zip(self.groups, (None, *self.groups[:-1]), strict=True)
        )
        self.output = Output(config, self.likelihood.parameter_maps(config.input_shape[0]))
        self.norms = SpectralNorms(self._convolutions()) if config.spectral else None

    @property
    def input_kind(self) -> InputKind:
        return self.likelihood.input_kind

    @property
    def code_dim(self) -> int:
        return self.groups[-1].stop

    @property
    def group_widths(self) -> tuple[int, ...]:
        return tuple(group.stop - group.start for group in self.groups)

    @property
    def code_variance(self) -> None:
        """None: a group's prior variance is another for every draw above it."""

    def elbo_terms(self, x: Tensor) -> ElboTerms:
        kl: list[Tensor] = []
        path = self.infer(x, 1, lambda visit: kl.append(visit.kl))
        return ElboTerms(self._pixels(path, x.shape[:1]).log_prob(x), torch.stack(kl, dim=1))

    def log_weights(self, x: Tensor, samples: int) -> Tensor:
        latents = x.new_zeros(samples * len(x))

        def add(visit: Visit) -> None:
            nonlocal latents
            latents = latents + visit.log_weight

        pixels = self._pixels(self.infer(x, samples, add), (samples, len(x)))
        log_likelihood: Tensor = pixels.log_prob(x)
        return log_likelihood + latents.view(samples, len(x))

    def encode(self, x: Tensor) -> Tensor:
        """The means of all groups' posteriors, each given those above it.

        With flows, the images of their means.
        """
        codes: list[Tensor] = []
        self.infer(x, 1, lambda visit: codes.append(visit.z.flatten(1)), noisy=False)
        return torch.cat(codes, dim=1)

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) for codes (..., D), batch shape (...).

        Codes of the first groups alone, (..., ``groups[g].stop``), are completed by draws from the
        prior. Raises DataError for a width at which no group ends.
        """
        _, path = self.generate(z.flatten(0, -2))
        return self._pixels(path, z.shape[:-1])

    @torch.no_grad()
    def sample(
        self,
        n: int,
        temperature: float | Sequence[float] = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Means of p(x|z) for ``n`` codes from the prior: (n, C, H, W) in [0, 1]."""
        _, path = self.generate(self._nothing(n), temperature, generator)
        return self._pixels(path, (n,)).mean.clamp(0, 1)

    def sample_codes(
        self,
        n: int,
        temperature: float | Sequence[float] = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """``n`` draws from the prior, (n, D), with one temperature, or one for each scale."""
        codes, _ = self.generate(self._nothing(n), temperature, generator)
        return codes

    def penalty(self) -> Tensor | None:
        """The summed spectral norms, weighted."""
        if self.norms is None:
            return None
        weighted: Tensor = self.config.spectral * self.norms(self._convolutions())
        return weighted

    def infer(
        self, x: Tensor, samples: int, see: Callable[[Visit], None], noisy: bool = True
    ) -> Tensor:
        """Draw z ~ q(z|x), ``samples`` times for each x: the path at its end, (samples B, ...).

        ``see`` is shown the visit to every group. Without ``noisy`` z is the posterior's mean.
        """
        self.check_input(x)
        features = iter(self.encoder(x))

        def choose(step: Step, path: Tensor, prior: Gaussian) -> Tensor:
            visit = step.infer(path, prior, next(features), samples, noisy)
            see(visit)
            return visit.z

        return self._descend(samples * len(x), choose)

    def generate(
        self,
        known: Tensor,
        temperature: float | Sequence[float] = 1.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Complete the codes of the first groups, ``known`` (B, d), from the prior.

        Returns whole codes (B, D) and the path at its end. The priors' standard deviations are
        scaled by ``temperature``, one for all or one for each scale from the top.
        """
        self._check_width(known)
        spread = self._temperatures(temperature)
        chosen: list[Tensor] = []

        def choose(step: Step, path: Tensor, prior: Gaussian) -> Tensor:
            scale, shape, start, stop = step.group
            if stop <= known.shape[1]:
                z = known[:, start:stop].view(-1, *shape)
            else:
                size = torch.Size([len(known), *shape])
                noise = standard_normal(size, known.dtype, known.device, generator)
                z = prior.at(spread[scale] * noise)
            chosen.append(z)
            return z

        path = self._descend(len(known), choose)
        return torch.cat([z.flatten(1) for z in chosen], dim=1), path

    def _descend(self, count: int, choose: Callable[[Step, Tensor, Gaussian], Tensor]) -> Tensor:
        """The walk down: at each group ``choose`` gives the latents. Returns the path's end."""
        path = innermost(self.top.expand(count, -1, -1, -1))
        for step in cast("list[Step]", list(self.steps)):
            path = step.enter(path)
            path = step.leave(path, choose(step, path, step.prior(path)))
        return path

    def _pixels(self, path: Tensor, batch: Sequence[int]) -> Distribution:
        """p(x|z) of a batch shape from the path's end."""
        maps = self.output(path)
        likelihood: Distribution = self.likelihood(maps.view(*batch, *maps.shape[1:]))
        return likelihood

    def _convolutions(self) -> list[nn.Conv2d]:
        return [each for each in self.modules() if isinstance(each, nn.Conv2d)]

    def _nothing(self, n: int) -> Tensor:
        """``n`` codes of no group, (n, 0)."""
        check_draws(n)
        return self.top.new_zeros(n, 0)

    def _check_width(self, known: Tensor) -> None:
        widths = [0, *(group.stop for group in self.groups)]
        if known.shape[1] not in widths:
            raise DataError(
                f"a code of {known.shape[1]} numbers ends within a group of latents; "
                f"groups end after {', '.join(map(str, widths[1:]))}"
            )

    def _temperatures(self, temperature: float | Sequence[float]) -> Sequence[float]:
        scales = len(self.config.scales)
        given = temperature if isinstance(temperature, Sequence) else [temperature] * scales
        if len(given) != scales:
            raise UnsupportedError(
                f"{len(given)} temperatures for {scales} scales; give one for each, or one for all"
            )
        for each in given:
            check_temperature(each)
        return given


class Encoder(nn.Module):
    """Pixels (B, C, H, W) to features for every group, from the top."""

    def __init__(self, config: NVAELiteConfig) -> None:
        super().__init__()
        finest_first = config.levels[::-1]
        channels = [config.input_shape[0], *(level.channels for level in finest_first)]
        self.halvings = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
            for fine, coarse in zip(channels[:-1], channels[1:], strict=True)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(_encoder_cells(level) for _ in range(_group_count(level)))
            for level in finest_first
        )
        self.stem = len(config.stem)

    def forward(self, x: Tensor) -> list[Tensor]:
        """One tensor (B, channels, H, W) for each group."""
        maps, features = 2 * x - 1, []
        for level, (halving, stage) in enumerate(zip(self.halvings, self.stages, strict=True)):
            maps = innermost(halving(maps))
            for cells in cast("nn.ModuleList", stage):
                maps = cells(maps)
                if level >= self.stem:
                    features.append(maps)
        return features[::-1]


class Step(nn.Module):
    """The path at one group: what it says of the latents, and what becomes of it after them."""

    def __init__(self, config: NVAELiteConfig, group: Group, above: Group | None) -> None:
        super().__init__()
        self.group = group
        scale, (latents, height, width) = config.scales[group.scale], group.shape
        channels = scale.channels
        opens_scale = above is not None and above.scale < group.scale
        coarser = config.scales[group.scale - 1].channels
        enlarge = doubling(coarser, channels, (height, width)) if opens_scale else []
        self.enlarge = nn.Sequential(*enlarge)
        self.to_prior = nearly_zero(nn.Conv2d(channels, 2 * latents, 1)) if above else None
        self.to_context = nn.Conv2d(channels, channels, 1)
        self.to_posterior = nearly_zero(nn.Conv2d(channels, 2 * latents, 3, padding=1))
        self.flows = nn.ModuleList(
            InverseAutoregressiveFlow(latents, channels, channels, backwards=bool(index % 2))
            for index in range(config.flows)
        )
        self.join = nn.Conv2d(latents, channels, 1)
        self.cells = _decoder_cells(scale, config.expansion)

    def enter(self, path: Tensor) -> Tensor:
        """The path at this group's resolution, (B, channels, H, W)."""
        enlarged: Tensor = self.enlarge(path)
        return enlarged

    def prior(self, path: Tensor) -> Gaussian:
        """p(z_g | z_<g): standard normal for the first group, about that for all at first."""
        if self.to_prior is None:
            zeros = self.to_posterior.weight.new_zeros(len(path), *self.group.shape)
            return Gaussian(zeros, zeros)
        return Gaussian(*_bounded(self.to_prior(silu(path))))

    def infer(
        self, path: Tensor, prior: Gaussian, features: Tensor, samples: int, noisy: bool
    ) -> Visit:
        """A draw from q(z_g | z_<g, x), for ``samples`` paths to each of the features (B, ...)."""
        on_path = self.to_context(path)
        context = on_path.view(samples, *features.shape) + features
        context = silu(context.view_as(on_path))
        shift, log_ratio = _bounded(self.to_posterior(context))
        noise = torch.randn_like(shift) if noisy else torch.zeros_like(shift)
        z = Gaussian(prior.mean + shift, prior.log_scale + log_ratio).at(noise)
        log_det = None
        for flow in self.flows:
            z, change = flow(z, context)
            log_det = change if log_det is None else log_det + change
        return Visit(prior, shift, log_ratio, noise, z, log_det)

    def leave(self, path: Tensor, z: Tensor) -> Tensor:
        """The path with the latents on it."""
        joined: Tensor = self.cells(path + self.join(innermost(z)))
        return joined


class Output(nn.Module):
    """From the path below the last group through the stem to the maps of p(x|z)."""

    def __init__(self, config: NVAELiteConfig, maps: int) -> None:
        super().__init__()
        sizes = map_sizes(config.input_shape, len(config.levels))
        channels = config.scales[-1].channels
        stages: list[nn.Module] = []
        for level, size in zip(config.stem, sizes[len(config.stem) : 0 : -1], strict=True):
            stages += doubling(channels, level.channels, size)
            stages.append(_decoder_cells(level, config.expansion))
            channels = level.channels
        self.stages = nn.Sequential(*stages, nn.SiLU(), *doubling(channels, maps, sizes[0]))

    def forward(self, path: Tensor) -> Tensor:
        """Unbounded maps (B, C, H, W)."""
        maps: Tensor = self.stages(path)
        return maps


def _groups(config: NVAELiteConfig) -> tuple[Group, ...]:
    """All groups from the top."""
    sizes = map_sizes(config.input_shape, len(config.levels))[: len(config.stem) : -1]
    scales = [number for number, scale in enumerate(config.scales) for _ in range(scale.groups)]
    shapes = [(config.scales[number].latents, *sizes[number]) for number in scales]
    stops = list(accumulate(prod(shape) for shape in shapes))
    return tuple(map(Group, scales, shapes, [0, *stops[:-1]], stops))


def _group_count(level: LevelConfig) -> int:
    return level.groups if isinstance(level, ScaleConfig) else 1


def _encoder_cells(level: LevelConfig) -> nn.Sequential:
    return nn.Sequential(*(EncoderCell(level.channels) for _ in range(level.cells)))


def _decoder_cells(level: LevelConfig, expansion: int) -> nn.Sequential:
    return nn.Sequential(*(DecoderCell(level.channels, expansion) for _ in range(level.cells)))


def _bounded(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Two halves (B, L, H, W), each softly held within the bound."""
    mean, log_scale = (BOUND * (full_precision(parameters) / BOUND).tanh()).chunk(2, dim=1)
    return mean, log_scale
