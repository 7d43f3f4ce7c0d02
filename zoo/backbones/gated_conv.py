"""Residual convolutional encoder and decoder whose blocks are gated."""

from __future__ import annotations

from typing import TypeVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import silu

from zoo.backbones.base import Backbone
from zoo.backbones.conv import Blocks, Channels, ConvConfig, ConvDecoder, ConvEncoder
from zoo.nn.layers import Layer, layers_of

N = TypeVar("N", bound=nn.Module)
SILU_GAIN = 1.677
"""1 / sqrt(E[silu(x)^2]) for x ~ N(0, 1)."""


class GatedConv(Backbone):
    """As ``conv``, with gated blocks and signals that have unit scale from the start."""

    class Config(ConvConfig):
        """As of ``conv``: one entry per halving, from the finest map to the coarsest."""

        encoder_channels: tuple[Channels, ...] = Field((32, 64, 64), min_length=1, max_length=8)
        encoder_blocks: tuple[Blocks, ...] = (1, 1, 0)
        decoder_channels: tuple[Channels, ...] = Field((32, 48), min_length=1, max_length=8)
        decoder_blocks: tuple[Blocks, ...] = (1, 2)
        hidden: int = Field(128, ge=1, le=16384)

    config: Config

    def encoder(self, input_shape: tuple[int, ...]) -> ConvEncoder:
        return unit_scale(ConvEncoder(self.config, self.image(input_shape), GatedBlock))

    def decoder(self, in_features: int, output_shape: tuple[int, ...]) -> ConvDecoder:
        shape = self.image(output_shape)
        return unit_scale(ConvDecoder(self.config, in_features, shape, GatedBlock))


class GatedBlock(nn.Module):
    r"""x + a(h) sigmoid(b(h)), h = silu(conv(silu(x))): (B, C, H, W) to the same shape.

    The gates of van den Oord et al. 2016 (arXiv:1606.05328) in a pre-activation residual block
    (arXiv:1603.05027), as PixelCNN++ has them (Salimans et al. 2017, arXiv:1701.05517).

    >>> import torch
    >>> GatedBlock(8)(torch.zeros(5, 8, 7, 7)).shape
    torch.Size([5, 8, 7, 7])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner, self.values, self.gates = (
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The maps plus what the gates let through."""
        # Halves of one convolution would be copied apart: two take a CPU a quarter less time.
        h = silu(self.inner(silu(x)))
        gated: Tensor = self.values(h) * self.gates(h).sigmoid()
        return x + gated

    def as_layers(self) -> list[Layer]:
        """See :class:`zoo.nn.layers.Layered`."""
        rectified = Layer("silu")
        gates = [*layers_of(self.gates), Layer("sigmoid")]
        product = Layer("multiply", branches=(layers_of(self.values), gates))
        return [Layer("add", branches=([rectified, *layers_of(self.inner), rectified, product],))]


def unit_scale(network: N) -> N:
    """Weights so large that numbers of unit scale keep it: behind silu, but for the first layer.

    torch's own leave a third of it, layer after layer. All blocks together add about as much to a
    signal as one would: each multiplies what reaches it, and their gains would multiply too.
    """
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        layer.weight.data.mul_(1 if layer is layers[0] else SILU_GAIN)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # all of these have one
    blocks = [each for each in network.modules() if isinstance(each, GatedBlock)]
    for block in blocks:
        block.values.weight.data.mul_(len(blocks) ** -0.5)
    return network
