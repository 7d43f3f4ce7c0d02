"""Residual convolutional encoder and decoder, without normalisation layers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, TypeAlias

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import Self

from zoo.backbones.base import Backbone, Encoder
from zoo.nn.layers import Layer, layers_of
from zoo.nn.maps import doubling, map_sizes
from zoo.settings import Settings

Channels = Annotated[int, Field(ge=1, le=2048)]
Blocks = Annotated[int, Field(ge=0, le=32)]
Block: TypeAlias = Callable[[int], nn.Module]
"""Makes a block of so many channels, from maps to maps of the same shape."""


class ConvConfig(Settings):
    """One entry per halving of the image, from the finest map to the coarsest.

    A map has so many ``channels`` and passes through so many residual ``blocks``; a dense layer of
    ``hidden`` units joins the coarsest map to the code. The decoder has its own sizes so that it
    can be lighter: an importance-weighted likelihood runs it thousands of times for one run of the
    encoder.
    """

    encoder_channels: tuple[Channels, ...] = Field((32, 64, 32), min_length=1, max_length=8)
    encoder_blocks: tuple[Blocks, ...] = (0, 1, 0)
    decoder_channels: tuple[Channels, ...] = Field((16, 32), min_length=1, max_length=8)
    decoder_blocks: tuple[Blocks, ...] = (1, 2)
    hidden: int = Field(256, ge=1, le=16384)

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        for part in ("encoder", "decoder"):
            channels, blocks = getattr(self, f"{part}_channels"), getattr(self, f"{part}_blocks")
            if len(channels) != len(blocks):
                raise ValueError(
                    f"{part}_channels and {part}_blocks need one entry per halving each, "
                    f"but have {len(channels)} and {len(blocks)}"
                )
        return self


class Conv(Backbone):
    """Strided convolutions with residual blocks, for images."""

    Config = ConvConfig
    config: ConvConfig

    def encoder(self, input_shape: tuple[int, ...]) -> ConvEncoder:
        return ConvEncoder(self.config, self.image(input_shape))

    def decoder(self, in_features: int, output_shape: tuple[int, ...]) -> ConvDecoder:
        return ConvDecoder(self.config, in_features, self.image(output_shape))


class ConvEncoder(Encoder):
    """Pixels (B, C, H, W) to features (B, ``out_features``), through residual ``block`` s.

    >>> import torch
    >>> ConvEncoder(ConvConfig(hidden=128), (1, 28, 28))(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 128])
    """

    def __init__(
        self, config: ConvConfig, input_shape: tuple[int, int, int], block: Block | None = None
    ) -> None:
        super().__init__()
        block = block or ResidualBlock
        widths, blocks = config.encoder_channels, config.encoder_blocks
        height, width = map_sizes(input_shape, len(widths))[-1]
        self.out_features = config.hidden
        self.stem = nn.Conv2d(input_shape[0], widths[0], 5, stride=2, padding=2)
        stages = _blocks(block, widths[0], blocks[0])
        for (fine, coarse), count in zip(pairwise(widths), blocks[1:], strict=True):
            halve = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
            stages += [nn.SiLU(), halve, *_blocks(block, coarse, count)]
        self.stages = nn.Sequential(*stages, nn.SiLU())
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(widths[-1] * height * width, config.hidden), nn.SiLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of pixels in [0, 1]."""
        # On a CPU convolutions are up to twice as fast with the channels innermost in memory. The
        # image may have one channel, for which that layout means nothing: the stem's output has it.
        maps = self.stem(x).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.dense(self.stages(maps))
        return features


class ConvDecoder(nn.Module):
    """Codes (B, ``in_features``) to unbounded maps (B, C, H, W), through residual ``block`` s.

    >>> import torch
    >>> ConvDecoder(ConvConfig(), 10, (1, 28, 28))(torch.zeros(5, 10)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self,
        config: ConvConfig,
        in_features: int,
        output_shape: tuple[int, int, int],
        block: Block | None = None,
    ) -> None:
        super().__init__()
        block = block or ResidualBlock
        widths = (output_shape[0], *config.decoder_channels)
        sizes = map_sizes(output_shape, len(config.decoder_channels))
        height, width = sizes[-1]
        self.coarsest_map = (height, width, widths[-1])
        self.dense = nn.Sequential(
            nn.Linear(in_features, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, height * width * widths[-1]),
        )
        stages: list[nn.Module] = []
        levels = zip(pairwise(widths), sizes[:-1], config.decoder_blocks, strict=True)
        for (fine, coarse), size, count in levels:
            own = _blocks(block, coarse, count)  # first: what a seed draws depends on the order
            stages = [*own, nn.SiLU(), *doubling(coarse, fine, size), *stages]
        self.stages = nn.Sequential(*stages)

    def forward(self, z: Tensor) -> Tensor:
        """The maps the codes decode to."""
        # Read as (B, H, W, C), the dense output is a map in channels-last layout without a copy.
        coarsest = self.dense(z).unflatten(-1, self.coarsest_map).permute(0, 3, 1, 2)
        maps: Tensor = self.stages(coarsest)
        return maps

    def as_layers(self) -> list[Layer]:
        """See :class:`zoo.nn.layers.Layered`."""
        coarsest = Layer("maps", settings={"shape": self.coarsest_map, "last": True})
        return [*layers_of(self.dense), coarsest, *layers_of(self.stages)]


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
        """The maps plus their residual."""
        return x + self.residual(x)  # type: ignore[no-any-return]

    def as_layers(self) -> list[Layer]:
        """See :class:`zoo.nn.layers.Layered`."""
        return [Layer("add", branches=(layers_of(self.residual),))]


def _blocks(block: Block, channels: int, count: int) -> list[nn.Module]:
    return [block(channels) for _ in range(count)]
