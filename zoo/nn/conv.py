"""Residual convolutional encoder and decoder, without normalisation layers."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.settings import Settings

Channels = Annotated[int, Field(ge=1, le=2048)]


class ConvConfig(Settings):
    """One entry of channels per halving of the image, from the finest map to the coarsest.

    Each map passes through ``blocks`` residual blocks; a dense layer of ``hidden`` units joins the
    coarsest map to the code. The decoder is separate so that it can be lighter: an importance-
    weighted likelihood runs it thousands of times for one run of the encoder.
    """

    name: Literal["conv"] = "conv"
    encoder_channels: tuple[Channels, ...] = Field((32, 64, 64), min_length=1, max_length=8)
    decoder_channels: tuple[Channels, ...] = Field((16, 32, 64), min_length=1, max_length=8)
    blocks: int = Field(1, ge=0, le=32)
    hidden: int = Field(256, ge=1, le=16384)


class ConvEncoder(nn.Module):
    """Pixels (B, C, H, W) to features (B, ``out_features``).

    >>> import torch
    >>> ConvEncoder(ConvConfig(hidden=128), (1, 28, 28))(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 128])
    """

    def __init__(self, config: ConvConfig, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        widths = (input_shape[0], *config.encoder_channels)
        height, width = _map_sizes(input_shape, len(config.encoder_channels))[-1]
        self.out_features = config.hidden
        self.stem = _halving(*widths[:2])
        stages: list[nn.Module] = []
        for fine, coarse in pairwise(config.encoder_channels):
            stages += [*_blocks(fine, config.blocks), nn.SiLU(), _halving(fine, coarse)]
        self.stages = nn.Sequential(*stages, *_blocks(widths[-1], config.blocks), nn.SiLU())
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(widths[-1] * height * width, config.hidden), nn.SiLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        # On a CPU convolutions are up to twice as fast with the channels innermost in memory. The
        # image may have one channel, for which that layout means nothing: the stem's output has it.
        maps = self.stem(x).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.dense(self.stages(maps))
        return features


class ConvDecoder(nn.Module):
    """Codes (B, ``in_features``) to unbounded maps (B, C, H, W).

    >>> import torch
    >>> ConvDecoder(ConvConfig(), 10, (1, 28, 28))(torch.zeros(5, 10)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self, config: ConvConfig, in_features: int, output_shape: tuple[int, int, int]
    ) -> None:
        super().__init__()
        widths = (output_shape[0], *config.decoder_channels)
        sizes = _map_sizes(output_shape, len(config.decoder_channels))
        self.coarsest_map = (*sizes[-1], widths[-1])  # H, W, C
        self.dense = nn.Sequential(
            nn.Linear(in_features, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, widths[-1] * sizes[-1][0] * sizes[-1][1]),
        )
        stages: list[nn.Module] = []
        for (fine, coarse), size in zip(pairwise(widths), sizes, strict=False):
            stages = [
                *_blocks(coarse, config.blocks),
                nn.SiLU(),
                _doubling(coarse, fine, size),
                *stages,
            ]
        self.stages = nn.Sequential(*stages)

    def forward(self, z: Tensor) -> Tensor:
        # Read as (B, H, W, C), the dense output is a map in channels-last layout without a copy.
        coarsest = self.dense(z).unflatten(-1, self.coarsest_map).permute(0, 3, 1, 2)
        maps: Tensor = self.stages(coarsest)
        return maps


class ResidualBlock(nn.Module):
    """Pre-activation residual block (arXiv:1603.05027), (B, C, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)  # type: ignore[no-any-return]


class CropTo(nn.Module):
    """(B, C, H, W) to its top left part (B, C, *size): undoes the rounding up of odd sizes."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : self.size[0], : self.size[1]]


def _blocks(channels: int, count: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(count)]


def _halving(in_channels: int, out_channels: int) -> nn.Conv2d:
    """(B, in, H, W) to (B, out, ceil(H / 2), ceil(W / 2))."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)


def _doubling(in_channels: int, out_channels: int, size: tuple[int, int]) -> nn.Sequential:
    """(B, in, ceil(H / 2), ceil(W / 2)) to (B, out, H, W), where ``size`` is (H, W)."""
    # Convolving before the upsampling costs a quarter of convolving after it.
    convolution = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1)
    return nn.Sequential(convolution, nn.PixelShuffle(2), CropTo(size))


def _map_sizes(shape: tuple[int, int, int], halvings: int) -> list[tuple[int, int]]:
    """Height and width of the image and after each halving, which rounds up."""
    sizes = [shape[1:]]
    for _ in range(halvings):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes
