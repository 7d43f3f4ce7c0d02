"""The hierarchy: one path down through all groups of latents, in the prior and in the posterior."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import silu

from zoo.core.batch import Batch
from zoo.core.condition import check_told
from zoo.core.descent import Choice
from zoo.core.draws import LatentDraw
from zoo.core.latent_space import Euclidean
from zoo.core.model import LatentVariableModel
from zoo.core.reading import as_codes, given_codes
from zoo.distributions.noise import standard_normal
from zoo.distributions.residual_normal import DiagonalNormal
from zoo.nn.bounded import bounded_halves
from zoo.nn.maps import doubling
from zoo.variants.nvae_lite.cells import MapProjection, channels_last, near_zero_init
from zoo.variants.nvae_lite.config import NVAELiteConfig
from zoo.variants.nvae_lite.draws import PathDraws
from zoo.variants.nvae_lite.flows import Flows
from zoo.variants.nvae_lite.groups import Group, each_scale, flatten, latent_groups, missing
from zoo.variants.nvae_lite.networks import Encoder, Output, decoder_cells
from zoo.variants.nvae_lite.spectral import SpectralNorms

AtStep: TypeAlias = Callable[["TopDownStep", Tensor, DiagonalNormal], Tensor]
"""Of a step, the path there and p(z_g | z_<g): the latents, (N, L H W)."""


class NVAELite(LatentVariableModel):
    r"""p(x|z) prod_g p(z_g | z_<g), q(z|x) = prod_g q(z_g | z_<g, x), over groups g from the top.

    One path leads down through all groups and carries what was decided above. At each it says the
    prior N(mu, sigma^2), and together with the encoder's features the posterior, by default
    N(mu + shift, (sigma ratio)^2). The group's draw joins the path, and cells work on both.

    A code is all groups one after the other, each flattened; :attr:`groups` says where each stands.
    :meth:`decode` also takes a code of the first groups alone and draws the others from the prior.

    >>> model = NVAELite(NVAELiteConfig(input_shape=(1, 28, 28)))
    >>> model(torch.zeros(5, 1, 28, 28)).kl.shape, model.sample(2).shape
    (torch.Size([5, 8]), torch.Size([2, 1, 28, 28]))
    >>> [group.shape for group in model.groups[3:5]], model.code_dim
    ([(8, 4, 4), (8, 7, 7)], 2080)
    """

    Config = NVAELiteConfig
    reads = ("images",)
    config: NVAELiteConfig

    def __init__(self, config: NVAELiteConfig) -> None:
        super().__init__(config)
        self.likelihood = self.likelihood_of(config.likelihood)
        self.groups = latent_groups(config)
        self.space = Euclidean(self.groups[-1].stop)
        self.encoder = Encoder(config)
        self.top = nn.Parameter(torch.randn(config.scales[0].channels, *self.groups[0].shape[1:]))
        self.steps = nn.ModuleList(
            TopDownStep(config, group, above)
            for group, above in zip(self.groups, (None, *self.groups[:-1]), strict=True)
        )
        self.output = Output(config, self.likelihood.channels)
        self.norms = SpectralNorms(self._convolutions()) if config.spectral else None

    @property
    def group_widths(self) -> tuple[int, ...]:
        return tuple(group.stop - group.start for group in self.groups)

    def infer(
        self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None
    ) -> PathDraws:
        batch = self.prepared(batch)
        given = given_codes(self, samples, given, batch.x.shape[0])
        features = self.encoder(batch.x)  # (B, C, H, W) of each group
        if given is not None:
            samples, given = len(given), given.flatten(0, 1)  # (S, B, D) -> (S B, D)
        shape = samples, batch.x.shape[0]
        latents: list[LatentDraw] = []
        visited: list[tuple[Tensor, DiagonalNormal]] = []

        def draw(step: TopDownStep, path: Tensor, prior: DiagonalNormal) -> Tensor:
            if self.training:  # otherwise they would outlive their use
                visited.append((path, prior))
            z = None if given is None else step.group.maps(given)
            latents.append(step.infer(path, prior, features[step.group.number], shape, z))
            return flatten(latents[-1].z)  # (S B, L H W)

        codes, path = self._top_down(samples * batch.x.shape[0], draw)
        likelihood, code = partial(self._likelihood, path, shape), partial(self._code, features)
        codes = codes.view(*shape, self.code_dim)
        along = partial(self._posteriors_along, visited, shape) if self.training else None
        return PathDraws(latents, likelihood, batch, code, codes, features, along)

    def encode(self, batch: Tensor | Batch) -> Tensor:
        """The means of all groups' posteriors, each given those above it: (B, D).

        With flows, the images of their means. Nothing is drawn.
        """
        return self._code(self.encoder(self.prepared(batch).x))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        """p(x|z) for codes (..., D), batch shape (...).

        Codes of the first groups alone, (..., ``groups[g].stop``), have the others drawn from the
        prior. Raises DataError for a width at which no group ends.
        """
        check_told(self, condition)
        z = as_codes(self, z)
        batch, width = z.shape[:-1], z.shape[-1]
        _, path = self.generate(z[None].flatten(0, -2), missing(self.groups, width))  # (N, C, H, W)
        return self._likelihood(path, batch)

    def descend(self, n: int, choose: Choice, batch: Batch | None = None) -> Distribution:
        """See :class:`zoo.core.descent.Descending`; distributions are of maps, channels last."""
        features = None if batch is None else self.encoder(self.prepared(batch).x)

        def asked(step: TopDownStep, path: Tensor, prior: DiagonalNormal) -> Tensor:
            of_x = None if features is None else features[step.group.number]
            q = None if of_x is None else step.inferred(path, prior, of_x, (1, n))
            return flatten(choose(prior, q))  # (n, L H W)

        return self._likelihood(self._top_down(n, asked)[1], (n,))

    def check_temperature(self, temperature: float | Sequence[float]) -> None:
        each_scale(temperature, len(self.config.scales))

    def draw_codes(
        self,
        n: int,
        temperature: float | Sequence[float],
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        """``n`` codes from the prior, (n, D), with one temperature, or one for each scale."""
        drawn = range(len(self.groups))
        return self.generate(self.top.new_zeros(n, 0), drawn, temperature, generator)[0]

    def redraw(
        self,
        codes: Tensor,
        groups: Sequence[int],
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        """``codes`` (B, D), those of ``groups`` drawn from p(z_g | z_<g), others as they are."""
        return self.generate(codes, groups, 1.0, generator)[0]

    def penalty(self) -> Tensor | None:
        """The summed spectral norms, weighted."""
        norms = self.norms
        return None if norms is None else self.config.spectral * norms(self._convolutions())

    def generate(
        self,
        codes: Tensor,
        drawn: Collection[int],
        temperature: float | Sequence[float] = 1.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Codes (N, D) with the groups ``drawn`` from the prior, and the path at its end.

        Of ``codes`` (N, ...) the other groups are taken. The priors' standard deviations are scaled
        by ``temperature``, one for all or one for each scale from the top.
        """
        temperatures = each_scale(temperature, len(self.config.scales))

        def choose(step: TopDownStep, path: Tensor, prior: DiagonalNormal) -> Tensor:
            group = step.group
            if group.number not in drawn:
                return codes[:, group.start : group.stop]  # (N, L H W)
            size = torch.Size([codes.shape[0], *group.shape])  # (N, L, H, W)
            noise = standard_normal(size, codes.dtype, codes.device, generator).movedim(1, -1)
            return flatten(prior.at(temperatures[group.scale] * noise))  # (N, L H W)

        return self._top_down(codes.shape[0], choose)

    def _code(self, features: list[Tensor]) -> Tensor:
        """The code that features of examples decide, (B, D)."""

        def choose(step: TopDownStep, path: Tensor, prior: DiagonalNormal) -> Tensor:
            return flatten(step.code(path, prior, features[step.group.number]))  # (B, L H W)

        return self._top_down(features[0].shape[0], choose)[0]

    def _posteriors_along(
        self,
        visited: list[tuple[Tensor, DiagonalNormal]],
        shape: tuple[int, int],
        features: list[Tensor],
    ) -> list[Distribution]:
        """q(z_g | z_<g, x) of each group on a path gone before, x that of the features."""
        groups = zip(self._top_down_steps, visited, features, strict=True)
        return [step.inferred(*before, of_x, shape) for step, before, of_x in groups]

    def _top_down(self, count: int, choose: AtStep) -> tuple[Tensor, Tensor]:
        """Codes (N, D) of the latents that ``choose`` gives on the way down, and the path's end."""
        path, parts = channels_last(self.top.expand(count, -1, -1, -1)), []  # (N, C, H, W)
        for step in self._top_down_steps:
            path = step.enlarge(path)  # (N, C, H, W) at the resolution of the group
            parts.append(choose(step, path, step.prior(path)))
            path = step.merged(path, parts[-1])
        return torch.cat(parts, dim=1), path

    @property
    def _top_down_steps(self) -> list[TopDownStep]:
        return cast("list[TopDownStep]", list(self.steps))

    def _likelihood(self, path: Tensor, batch: Sequence[int]) -> Distribution:
        """p(x|z) of a batch shape from the path's end."""
        maps = self.output(path)  # (N, K, H, W)
        likelihood: Distribution = self.likelihood(maps.view(*batch, *maps.shape[1:]))
        return likelihood

    def _convolutions(self) -> list[nn.Conv2d]:
        return [each for each in self.modules() if isinstance(each, nn.Conv2d)]


class TopDownStep(nn.Module):
    """The path at one group: what it says of the latents, and what becomes of it after them."""

    def __init__(self, config: NVAELiteConfig, group: Group, above: Group | None) -> None:
        super().__init__()
        self.group = group
        scale, latents, size = config.scales[group.scale], group.shape[0], group.shape[1:]
        channels, coarser = scale.channels, config.scales[group.scale - 1].channels
        starts_scale = above is not None and above.scale < group.scale
        self.enlarge = nn.Sequential(*(doubling(coarser, channels, size) if starts_scale else []))
        self.to_prior = near_zero_init(MapProjection(channels, 2 * latents, 1)) if above else None
        self.to_context = nn.Conv2d(channels, channels, 1)

        def project(numbers: int) -> nn.Module:
            return near_zero_init(MapProjection(channels, numbers, 3, padding=1))

        self.posterior = config.posterior.build(project, latents)
        self.flows = Flows(config.flows, latents, channels)
        self.join = nn.Conv2d(latents, channels, 1)
        self.cells = decoder_cells(scale, config.expansion)

    def prior(self, path: Tensor) -> DiagonalNormal:
        """p(z_g | z_<g), batch shape (N, H, W): the first group's is standard normal."""
        if self.to_prior is None:
            latents, height, width = self.group.shape
            zeros = self.join.weight.new_zeros(path.shape[0], height, width, latents)
            return DiagonalNormal(zeros, zeros)
        return DiagonalNormal(*bounded_halves(self.to_prior(silu(path))))

    def infer(
        self,
        path: Tensor,
        prior: DiagonalNormal,
        features: Tensor,
        shape: tuple[int, int],
        given: Tensor | None,
    ) -> LatentDraw:
        """A draw from q(z_g | z_<g, x) for each of S B paths, or what it says of latents given."""
        context = self._context(path, features, shape)
        q = self.posterior(context, prior)
        if given is not None:
            return LatentDraw(given, self.flows.posterior(q, context), prior, shape)
        return self.flows.draw(self.posterior.draw(q, prior, shape), context)

    def inferred(
        self, path: Tensor, prior: DiagonalNormal, features: Tensor, shape: tuple[int, int]
    ) -> Distribution:
        """q(z_g | z_<g, x) for each of S B paths. Nothing is drawn."""
        context = self._context(path, features, shape)
        return self.flows.posterior(self.posterior(context, prior), context)

    def code(self, path: Tensor, prior: DiagonalNormal, features: Tensor) -> Tensor:
        """The deterministic latents (B, H, W, L) of B paths."""
        context = self._context(path, features, (1, features.shape[0]))
        z: Tensor = self.flows(self.posterior.code(self.posterior(context, prior)), context)[0]
        return z

    def merged(self, path: Tensor, z: Tensor) -> Tensor:
        """The path with the latents (N, L H W) on it, (N, C, H, W)."""
        maps = z.view(-1, *self.group.shape)  # (N, L, H, W)
        merged: Tensor = self.cells(path + self.join(channels_last(maps)))
        return merged

    def _context(self, path: Tensor, features: Tensor, shape: tuple[int, int]) -> Tensor:
        """What S B paths and the features (B, C, H, W) of B examples say, (S B, C, H, W)."""
        on_path = torch.unflatten(self.to_context(path), 0, shape)  # (S, B, C, H, W)
        return silu((on_path + features).flatten(0, 1))
