"""Fully connected encoder and decoder."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from zoo.backbones.base import Backbone, Encoder
from zoo.nn.layers import Layer, layers_of
from zoo.settings import Settings

Width = Annotated[int, Field(ge=1, le=16384)]


class MLP(Backbone):
    """Linear layers with rectifiers between, for examples of any shape."""

    class Config(Settings):
        """``hidden`` layers of the encoder, from the example on; the decoder mirrors them."""

        hidden: tuple[Width, ...] = Field((400,), min_length=1, max_length=32)

    config: Config

    def encoder(self, input_shape: tuple[int, ...]) -> MLPEncoder:
        return MLPEncoder(self.config.hidden, input_shape)

    def decoder(self, in_features: int, output_shape: tuple[int, ...]) -> MLPDecoder:
        return MLPDecoder(self.config.hidden, in_features, output_shape)


class MLPEncoder(Encoder):
    """Examples (B, ...) to features (B, ``out_features``).

    >>> import torch
    >>> MLPEncoder((256, 128), (1, 28, 28))(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 128])
    """

    def __init__(self, hidden: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.out_features = hidden[-1]
        self.layers = nn.Sequential(*_hidden_layers((math.prod(input_shape), *hidden)))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x.flatten(1))
        return features


class MLPDecoder(nn.Module):
    """Codes (B, ``in_features``) to unbounded numbers (B, *output_shape).

    >>> import torch
    >>> MLPDecoder((256, 128), 10, (1, 28, 28))(torch.zeros(5, 10)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self, hidden: tuple[int, ...], in_features: int, output_shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        widths = (in_features, *reversed(hidden))
        self.layers = nn.Sequential(
            *_hidden_layers(widths), nn.Linear(widths[-1], math.prod(output_shape))
        )
        self.output_shape = output_shape

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(-1, self.output_shape)  # type: ignore[no-any-return]

    def as_layers(self) -> list[Layer]:
        """See :class:`zoo.nn.layers.Layered`."""
        maps = Layer("maps", settings={"shape": self.output_shape, "last": False})
        return [*layers_of(self.layers), maps]


def _hidden_layers(widths: tuple[int, ...]) -> list[nn.Module]:
    return [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
