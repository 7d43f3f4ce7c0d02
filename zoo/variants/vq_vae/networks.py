"""From pixels to a grid of vectors, and from such a grid to what p(x|z) is made of."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from zoo.backbones.gated_conv import GatedBlock, unit_scale
from zoo.nn.maps import doubling, map_sizes
from zoo.variants.vq_vae.config import VQVAEConfig


class Encoder(nn.Module):
    """Pixels (B, C, H, W) to vectors of unit scale on a grid, (B, T d), channels innermost."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fine, coarse in pairwise((config.input_shape[0], *config.channels)):
            layers += [nn.Conv2d(fine, coarse, 3, stride=2, padding=1), nn.SiLU()]
        widest = config.channels[-1]
        blocks = [GatedBlock(widest) for _ in range(config.blocks)]
        to_vectors = nn.Conv2d(widest, config.latent_dim, 1)
        self.layers = unit_scale(nn.Sequential(*layers[:-1], *blocks, nn.SiLU(), to_vectors))

    def forward(self, x: Tensor) -> Tensor:
        pixels = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        vectors: Tensor = self.layers(pixels)  # (B, d, h, w)
        return vectors.permute(0, 2, 3, 1).flatten(1)


class Decoder(nn.Module):
    """Codes (B, T d) to unbounded maps (B, K, H, W)."""

    def __init__(self, config: VQVAEConfig, maps: int) -> None:
        super().__init__()
        self.places = (*config.grid, config.latent_dim)
        widest = config.channels[-1]
        layers: list[nn.Module] = [nn.Conv2d(config.latent_dim, widest, 3, padding=1)]
        layers += [GatedBlock(widest) for _ in range(config.blocks)]
        sizes = map_sizes(config.input_shape, len(config.channels))
        widths = (maps, *config.channels)
        for level in reversed(range(len(config.channels))):
            layers += [nn.SiLU(), *doubling(widths[level + 1], widths[level], sizes[level])]
        self.layers = unit_scale(nn.Sequential(*layers))

    def forward(self, z: Tensor) -> Tensor:
        maps: Tensor = self.layers(torch.unflatten(z, 1, self.places).permute(0, 3, 1, 2))
        return maps
