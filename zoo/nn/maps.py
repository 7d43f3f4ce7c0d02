"""Resolutions of convolutional networks: halved, rounding up, and doubled again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.nn.layers import Layer


class CropTo(nn.Module):
    """(B, C, H, W) to its top left part (B, C, *size): undoes the rounding up of odd sizes.

    The channels come out innermost in memory, which not every device's pixel shuffle keeps.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """The part that is kept."""
        part = x[..., : self.size[0], : self.size[1]]
        return part.contiguous(memory_format=torch.channels_last)

    def as_layers(self) -> list[Layer]:
        """See :class:`zoo.nn.layers.Layered`."""
        return [Layer("crop", settings={"size": self.size})]


def doubling(in_channels: int, out_channels: int, size: tuple[int, int]) -> list[nn.Module]:
    """(B, in, ceil(H / 2), ceil(W / 2)) to (B, out, H, W), where ``size`` is (H, W)."""
    # Convolving before the upsampling costs a quarter of convolving after it.
    return [
        nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1),
        nn.PixelShuffle(2),
        CropTo(size),
    ]


def map_sizes(shape: tuple[int, int, int], halvings: int) -> list[tuple[int, int]]:
    """Height and width of the image and after each halving, which rounds up."""
    sizes = [shape[1:]]
    for _ in range(halvings):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes
