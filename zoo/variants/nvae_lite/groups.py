"""Where each group of latents stands: in the hierarchy, on the maps, and in a code."""

from __future__ import annotations

from itertools import accumulate
from math import prod
from typing import NamedTuple

from torch import Tensor

from zoo.nn.maps import map_sizes
from zoo.variants.nvae_lite.config import NVAELiteConfig


class Group(NamedTuple):
    """A group of latents: its number from the top, its scale, its shape, its part of a code."""

    index: int
    scale: int
    shape: tuple[int, int, int]  # (L, H, W)
    start: int
    stop: int

    def maps(self, codes: Tensor) -> Tensor:
        """This group's part of codes, channels last as its distributions have it."""
        part = codes[:, self.start : self.stop]  # (N, D) -> (N, L H W)
        return part.unflatten(1, self.shape).movedim(1, -1)  # -> (N, H, W, L)


def flat(z: Tensor) -> Tensor:
    """Latents channels last as they stand in a code, channels first: (N, H, W, L) -> (N, L H W)."""
    return z.movedim(-1, 1).flatten(1)


def latent_groups(config: NVAELiteConfig) -> tuple[Group, ...]:
    """All groups from the top."""
    sizes = map_sizes(config.input_shape, len(config.levels))[: len(config.stem) : -1]
    scales = [number for number, scale in enumerate(config.scales) for _ in range(scale.groups)]
    shapes = [(config.scales[number].latents, *sizes[number]) for number in scales]
    stops = list(accumulate(prod(shape) for shape in shapes))
    return tuple(map(Group, range(len(scales)), scales, shapes, [0, *stops[:-1]], stops))
