"""Binary pixels, each given those before it (PixelVAE, Gulrajani et al. 2017, arXiv:1611.05013)."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import Annotated, ClassVar, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.distributions import Distribution

from zoo.distributions.autoregressive import AutoregressiveMass
from zoo.distributions.in_steps import Step, Steps, following, steps_of
from zoo.distributions.observed import observed_log_prob
from zoo.errors import ConfigError
from zoo.likelihoods.base import HIGHEST, InputKind, Likelihood
from zoo.likelihoods.bernoulli import Bernoulli
from zoo.nn.causal import CausalHead
from zoo.randomness import seeded
from zoo.settings import Settings

DRAWS = 16
"""Of p(x|z), whose average stands for its mean."""
Radius = Annotated[int, Field(ge=0, le=16)]


class PixelCNN(Likelihood):
    r"""Maps (..., width, H, W) to p(x|z) = prod_i p(x_i|x_<i, z) over binary images; a mass.

    Pixels follow each other row by row. Each sees the maps at its place and, through a light head
    of masked convolutions, the pixels before it within a few steps; its channels are independent
    given those. The head draws strokes sharply, and only z can say what lies further away: one that
    sees far makes z superfluous, and the KL collapses (Chen et al. 2017, arXiv:1611.02731).

    >>> likelihood = PixelCNN(PixelCNN.Config(width=8), (1, 28, 28))
    >>> p = likelihood(torch.zeros(5, 8, 28, 28))
    >>> p.log_prob(torch.ones(1, 28, 28)).shape, p.sample().shape
    (torch.Size([5]), torch.Size([5, 1, 28, 28]))
    """

    reads: ClassVar[InputKind] = "binary"
    measure = "mass"
    small = {"width": 4}

    class Config(Settings):
        """``width`` maps of the decoder and of the head, and how far each of its layers sees.

        The first of the ``radii`` is that of the layer that sees the pixels, the others those of
        residual layers above it; 0 is a layer that sees one place alone.
        """

        width: int = Field(32, ge=1, le=1024)
        radii: tuple[Radius, ...] = Field((3, 0, 0), min_length=1, max_length=16)

        @field_validator("radii")
        @classmethod
        def _sees_pixels(cls, radii: tuple[int, ...]) -> tuple[int, ...]:
            if radii[0] == 0:
                raise ValueError(
                    "the first is how far pixels see each other, at least 1; where they see none, "
                    "choose the likelihood 'bernoulli' or 'discretized-logistic-mixture'"
                )
            return radii

    def __init__(self, config: Config, shape: tuple[int, ...]) -> None:
        super().__init__(config, shape)
        if len(shape) != 3 or shape[1:] == (1, 1):
            raise ConfigError(
                f"the likelihood {type(self).__name__} is one of images (C, H, W) whose pixels "
                f"follow each other, the examples are {shape}; choose 'bernoulli' or 'gaussian'"
            )
        self.width = config.width
        self.pixels = self.pixel_likelihood(config, shape)
        self.head = CausalHead(shape[0], config.width, config.radii, self.pixels.channels)

    def pixel_likelihood(self, config: Config, shape: tuple[int, ...]) -> Likelihood:
        """p(x_i|...) of each pixel, of the head's numbers at its place."""
        return Bernoulli(Bernoulli.Config(), shape)

    @property
    def channels(self) -> int:
        return self.width

    def forward(self, parameters: Tensor) -> Distribution:
        return PixelMass(self, parameters.flatten(-2), self.shape)  # of (..., width, H W)

    def estimate(self, p: Distribution) -> Tensor:
        """The mean of p(x|z) by a few draws, whose noise is the same at every call."""
        z = cast("AutoregressiveMass", p).z
        maps = self._maps(z.reshape(p.batch_shape.numel(), *z.shape[-2:]))  # (N, width, H, W)
        with torch.no_grad(), seeded(0, maps.device):
            drawn = self.head.grow(maps, DRAWS, self._pixel)  # (N draws, C, H, W)
            by_draw = drawn.view(len(maps), DRAWS, *self.shape).unbind(1)  # (N, C, H, W) each
            means = [self.expected(x, maps) for x in by_draw]
        return torch.stack(means).mean(0).view(*p.batch_shape, *self.shape)  # (..., C, H, W)

    def expected(self, x: Tensor, maps: Tensor) -> Tensor:
        """What a draw x (N, C, H, W) counts as: the mean of each pixel given those before it.

        It varies less than the pixel does (Rao-Blackwell).
        """
        mean: Tensor = self.pixels(self.head(x, maps[None])[0]).mean  # (N, C, H, W)
        return mean

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) of images (B, C, H, W) given maps (S, B, width, H W): (S, B)."""
        p: Distribution = self.pixels(self.head(x, self._maps(z)))
        return p.log_prob(x)

    def draw(self, z: Tensor) -> Tensor:
        """Images (N, C, H, W) given maps (N, width, H W)."""
        return self.head.grow(self._maps(z), 1, self._pixel)

    clamps: ClassVar[bool] = True

    def draw_clamped(
        self, z: Tensor, x: Tensor, observed: Tensor, forced: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See :class:`zoo.distributions.autoregressive.AutoregressiveModel`."""
        rows = zip(*(each.flatten(-2).unbind(-1) for each in (x, observed, forced)), strict=True)
        weights = []

        def pick(numbers: Tensor) -> Tensor:
            given, seen, kept = next(rows)  # (N, C) each
            pixel: Distribution = self.pixels(numbers[..., None, None])
            value = torch.where(kept, given, pixel.sample()[..., 0, 0])  # (N, C)
            weights.append(observed_log_prob(pixel, value[..., None, None], seen[..., None, None]))
            return value

        found = self.head.grow(self._maps(z), 1, pick)
        return found, torch.stack(weights).sum(0)  # (N, C, H, W), (N,)

    def in_steps(self, z: Tensor) -> Steps:
        """Pixel by pixel, given maps (N, width, H W), a step for each of the pixel's own."""
        pixels, highest = self.head.steps(self._maps(z)), HIGHEST[self.reads]
        numbers = next(pixels)  # (N, n)
        for row, column in product(*map(range, self.shape[1:])):
            x = numbers.new_zeros(len(z), self.shape[0], 1, 1)
            steps = steps_of(self.pixels(numbers[..., None, None]), highest)
            step = next(steps, None)
            while step is not None:
                masses, (*where, _, _) = step  # masses (N[, C], 1, 1, K)
                symbols = yield Step(masses[..., 0, 0, :], (*where, row, column))
                symbols = symbols[..., None, None]  # (N[, C], 1, 1)
                x[step.where] = symbols.to(x.dtype) / highest
                step = following(steps, symbols)
            with suppress(StopIteration):
                numbers = pixels.send(x[..., 0, 0])

    def prepared(self, batch: Tensor) -> Tensor:
        """As they are: the model has looked at them."""
        return batch

    def _maps(self, z: Tensor) -> Tensor:
        return torch.unflatten(z, -1, self.shape[1:])  # (..., width, H, W)

    def _pixel(self, numbers: Tensor) -> Tensor:
        """A draw of one pixel (N, C), of its numbers (N, n)."""
        pixel: Distribution = self.pixels(numbers[..., None, None])
        return pixel.sample()[..., 0, 0]


class PixelMass(AutoregressiveMass):
    """Of pixels that can be decided one after the other."""

    model: PixelCNN

    def in_steps(self) -> Steps:
        """See :class:`zoo.distributions.in_steps.InSteps`."""
        return self.model.in_steps(self.z)
