"""Where each group of latents stands: in the hierarchy, on the maps, and in a code."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate
from math import prod
from typing import NamedTuple

from torch import Tensor

from zoo.core.checks import check_temperature
from zoo.errors import DataError, UnsupportedError
from zoo.nn.maps import map_sizes
from zoo.variants.nvae_lite.config import NVAELiteConfig


class Group(NamedTuple):
    """A group of latents: its number from the top, its scale, its shape, its part of a code."""

    number: int
    scale: int
    shape: tuple[int, int, int]  # (L, H, W)
    start: int
    stop: int

    def maps(self, codes: Tensor) -> Tensor:
        """This group's part of codes, channels last as its distributions have it."""
        part = codes[:, self.start : self.stop]  # (N, L H W)
        return part.view(-1, *self.shape).movedim(1, -1)  # (N, H, W, L)


def flatten(z: Tensor) -> Tensor:
    """Latents channels last as they stand in a code, channels first: (N, H, W, L) -> (N, L H W)."""
    return z.movedim(-1, 1).flatten(1)


def latent_groups(config: NVAELiteConfig) -> tuple[Group, ...]:
    """All groups from the top."""
    sizes = map_sizes(config.input_shape, len(config.levels))[: len(config.stem) : -1]
    scales = [number for number, scale in enumerate(config.scales) for _ in range(scale.groups)]
    shapes = [(config.scales[number].latents, *sizes[number]) for number in scales]
    stops = list(accumulate(prod(shape) for shape in shapes))
    return tuple(map(Group, range(len(scales)), scales, shapes, [0, *stops[:-1]], stops))


def missing(groups: Sequence[Group], width: int) -> Collection[int]:
    """The groups that codes of the first alone, of ``width`` numbers, do not have.

    Raises DataError for a width at which no group ends.
    """
    stops = [0, *(group.stop for group in groups)]
    if width not in stops:
        raise DataError(
            f"a code of {width} numbers ends within a group of latents; "
            f"groups end after {', '.join(map(str, stops[1:]))}"
        )
    return range(stops.index(width), len(groups))


def each_scale(temperature: float | Sequence[float], scales: int) -> Sequence[float]:
    """Temperatures, one for each scale. Raises UnsupportedError for another number of them."""
    given = temperature if isinstance(temperature, Sequence) else [temperature] * scales
    if len(given) != scales:
        raise UnsupportedError(
            f"{len(given)} temperatures for {scales} scales; give one for each, or one for all"
        )
    for each in given:
        check_temperature(each)
    return given
