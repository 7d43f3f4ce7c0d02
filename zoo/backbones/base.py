"""What a backbone is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from zoo.core.component import Component
from zoo.errors import ConfigError
from zoo.settings import Settings


class Encoder(nn.Module):
    """Examples (B, *input_shape) to features (B, ``out_features``)."""

    out_features: int


class Backbone(Component, ABC):
    """A pair of networks: an encoder from examples, and a decoder from codes.

    A subclass is made as ``Backbone(config)``.
    """

    section = "backbones"

    def __init__(self, config: Settings) -> None:
        self.config = config

    def image(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """``shape`` as (C, H, W), for one that reads images alone.

        Raises ConfigError for any other.
        """
        if len(shape) != 3:
            raise ConfigError(
                f"the backbone {type(self).__name__} reads images (C, H, W), the examples are "
                f"{tuple(shape)}; choose 'mlp'"
            )
        channels, height, width = shape
        return channels, height, width

    @abstractmethod
    def encoder(self, input_shape: tuple[int, ...]) -> Encoder:
        """A network from (B, *input_shape) to (B, out_features).

        Raises ConfigError for a shape it cannot read.
        """

    @abstractmethod
    def decoder(self, in_features: int, output_shape: tuple[int, ...]) -> nn.Module:
        """A network from (B, in_features) to unbounded numbers (B, *output_shape).

        One with a method ``as_layers`` (:class:`zoo.nn.layers.Layered`) runs in a page, too.
        """
