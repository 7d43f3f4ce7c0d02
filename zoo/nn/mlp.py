"""Fully connected encoder and decoder."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from zoo.settings import Settings

Width = Annotated[int, Field(ge=1, le=16384)]


class MLPConfig(Settings):
    """Hidden layers of the encoder, from the pixels on; the decoder mirrors them."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[Width, ...] = Field((400,), min_length=1, max_length=32)


class MLPEncoder(nn.Module):
    """Pixels (B, C, H, W) to features (B, ``out_features``).

    >>> import torch
    >>> MLPEncoder(MLPConfig(hidden=(256, 128)), (1, 28, 28))(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 128])
    """

    def __init__(self, config: MLPConfig, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.out_features = config.hidden[-1]
        self.layers = nn.Sequential(*_hidden_layers((math.prod(input_shape), *config.hidden)))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x.flatten(1))
        return features


class MLPDecoder(nn.Module):
    """Codes (B, ``in_features``) to unbounded maps (B, C, H, W).

    >>> import torch
    >>> MLPDecoder(MLPConfig(hidden=(256, 128)), 10, (1, 28, 28))(torch.zeros(5, 10)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self, config: MLPConfig, in_features: int, output_shape: tuple[int, int, int]
    ) -> None:
        super().__init__()
        widths = (in_features, *reversed(config.hidden))
        self.layers = nn.Sequential(
            *_hidden_layers(widths), nn.Linear(widths[-1], math.prod(output_shape))
        )
        self.output_shape = output_shape

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(-1, self.output_shape)  # type: ignore[no-any-return]


def _hidden_layers(widths: tuple[int, ...]) -> list[nn.Module]:
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return [layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())]
