"""The networks between pixels and features, chosen by name in a variant's configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from zoo.nn.conv import ConvConfig, ConvDecoder, ConvEncoder
from zoo.nn.mlp import MLPConfig, MLPDecoder, MLPEncoder


def by_name(value: Any) -> Any:
    """Let ``backbone: conv`` stand for ``backbone: {name: conv}``."""
    return {"name": value} if isinstance(value, str) else value


Backbone = Annotated[MLPConfig | ConvConfig, Field(discriminator="name"), BeforeValidator(by_name)]


def build_encoder(
    config: MLPConfig | ConvConfig, input_shape: tuple[int, int, int]
) -> MLPEncoder | ConvEncoder:
    """A network from (B, *input_shape) to (B, out_features)."""
    if isinstance(config, MLPConfig):
        return MLPEncoder(config, input_shape)
    return ConvEncoder(config, input_shape)


def build_decoder(
    config: MLPConfig | ConvConfig, in_features: int, output_shape: tuple[int, int, int]
) -> MLPDecoder | ConvDecoder:
    """A network from (B, in_features) to (B, *output_shape)."""
    if isinstance(config, MLPConfig):
        return MLPDecoder(config, in_features, output_shape)
    return ConvDecoder(config, in_features, output_shape)
