"""The way up from the pixels to the groups, and from the last group down to the pixels."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from zoo.nn.maps import doubling, map_sizes
from zoo.variants.nvae_lite.cells import DecoderCell, EncoderCell, channels_last
from zoo.variants.nvae_lite.config import LevelConfig, NVAELiteConfig


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
            nn.ModuleList(encoder_cells(level) for _ in range(level.stages))
            for level in finest_first
        )
        self.stem = len(config.stem)

    def forward(self, x: Tensor) -> list[Tensor]:
        """One tensor (B, channels, H, W) for each group."""
        maps, features = 2 * x - 1, []
        for level, (halving, stage) in enumerate(zip(self.halvings, self.stages, strict=True)):
            maps = channels_last(halving(maps))  # (B, C', ceil(H / 2), ceil(W / 2))
            for cells in cast("nn.ModuleList", stage):
                maps = cells(maps)
                if level >= self.stem:
                    features.append(maps)
        return features[::-1]


class Output(nn.Module):
    """From the path below the last group through the stem to what p(x|z) is made of."""

    def __init__(self, config: NVAELiteConfig, maps: int) -> None:
        super().__init__()
        sizes = map_sizes(config.input_shape, len(config.levels))
        channels = config.scales[-1].channels
        stages: list[nn.Module] = []
        for level, size in zip(config.stem, sizes[len(config.stem) : 0 : -1], strict=True):
            stages += doubling(channels, level.channels, size)
            stages.append(decoder_cells(level, config.expansion))
            channels = level.channels
        self.stages = nn.Sequential(*stages, nn.SiLU(), *doubling(channels, maps, sizes[0]))

    def forward(self, path: Tensor) -> Tensor:
        """Unbounded maps (N, K, H, W) in the size of the image."""
        maps: Tensor = self.stages(path)
        return maps


def encoder_cells(level: LevelConfig) -> nn.Sequential:
    """One stage of a level on the way up."""
    return nn.Sequential(*(EncoderCell(level.channels) for _ in range(level.cells)))


def decoder_cells(level: LevelConfig, expansion: int) -> nn.Sequential:
    """One stage of a level on the way down."""
    return nn.Sequential(*(DecoderCell(level.channels, expansion) for _ in range(level.cells)))
