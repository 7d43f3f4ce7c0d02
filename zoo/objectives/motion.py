"""Images turned, shifted and scaled a little, each in a way of its own."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import grid_sample

from zoo.core.batch import Batch
from zoo.settings import Settings


class Motion(Settings):
    """At most so far, and as far as that with the same probability.

    ``rotation`` in degrees, ``shift`` as a part of each side, ``zoom`` as a part of the size.

    >>> Motion(rotation=0.0, shift=0.0, zoom=0.0).moved(Batch(torch.eye(3)[None, None])).x[0, 0, 1]
    tensor([0., 1., 0.])
    """

    rotation: float = Field(15.0, ge=0, le=180)
    shift: float = Field(0.05, ge=0, le=1)
    zoom: float = Field(0.1, ge=0, lt=1)

    def moved(self, batch: Batch) -> Batch:
        """Each pixel is the nearest one of where it comes from, and 0 beyond the margin.

        So binary images stay binary, and 8-bit intensities 8-bit. Where it is known which pixels
        are observed, they move along, and nothing is observed beyond the margin.
        """
        grid = self.grid(batch.x)
        moved = batch._replace(x=_nearest(batch.x, grid))
        if batch.observed is None:
            return moved
        return moved._replace(observed=_nearest(batch.observed.to(grid), grid) > 0)

    def grid(self, x: Tensor) -> Tensor:
        """Where the pixels of images (B, C, H, W) come from, (B, H, W, 2), in [-1, 1] as torch's.

        Written out, as a product of matrices would be rounded under autocast.
        """
        count, height, width = len(x), x.shape[-2], x.shape[-1]
        chance = 2 * torch.rand(4, count, 1, 1, device=x.device, dtype=x.dtype) - 1
        turn, size = math.radians(self.rotation) * chance[0], 1 + self.zoom * chance[1]
        cos, sin = turn.cos() / size, turn.sin() / size  # (B, 1, 1) each
        across = torch.arange(1 - width, width, 2, device=x.device).to(x)  # twice pixels, (W,)
        down = torch.arange(1 - height, height, 2, device=x.device).to(x)[:, None]  # (H, 1)
        from_x = (cos * across - sin * down) / width + 2 * self.shift * chance[2]  # (B, H, W)
        from_y = (sin * across + cos * down) / height + 2 * self.shift * chance[3]
        return torch.stack([from_x, from_y], -1)


def _nearest(x: Tensor, grid: Tensor) -> Tensor:
    return grid_sample(x, grid, mode="nearest", padding_mode="zeros", align_corners=False)
