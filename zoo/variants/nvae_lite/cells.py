"""Residual cells for maps (B, C, H, W), after NVAE (arXiv:2007.03898).

Where NVAE normalises over the batch and re-estimates the statistics after training, these normalise
the channels at each position: the same in training and evaluation, for one image as for many.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm


class ChannelNorm(nn.Module):
    """Zero mean and unit variance over the channels of each position, then a scale and a shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape; with the channels innermost in memory nothing is copied."""
        nhwc = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        normal = layer_norm(nhwc, self.weight.shape, self.weight, self.bias)
        return normal.permute(0, 3, 1, 2)


class SqueezeExcitation(nn.Module):
    """Each channel times a gate in (0, 1) that looks at the means of all (arXiv:1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(4, channels // 8)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden), nn.SiLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape."""
        gate: Tensor = self.gate(x.mean((2, 3)))  # (B, C)
        return x * gate[:, :, None, None]


class ResidualCell(nn.Module):
    """x + a branch of ``layers`` and a gate."""

    def __init__(self, channels: int, *layers: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*layers, SqueezeExcitation(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape."""
        return x + self.branch(x)  # type: ignore[no-any-return]


class EncoderCell(ResidualCell):
    """Two plain 3 x 3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            channels,
            ChannelNorm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            ChannelNorm(channels),
            nn.SiLU(),
            near_zero_init(nn.Conv2d(channels, channels, 3, padding=1)),
        )


class DecoderCell(ResidualCell):
    """A depthwise 5 x 5 convolution, then ``expansion`` times as many channels and back.

    NVAE's cell is depthwise on the expanded channels; this order (arXiv:2201.03545) has nearly as
    many parameters and as wide a view, and fewer maps to convolve.
    """

    def __init__(self, channels: int, expansion: int) -> None:
        inner = channels * expansion
        super().__init__(
            channels,
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels),
            ChannelNorm(channels),
            nn.Conv2d(channels, inner, 1),
            nn.SiLU(),
            near_zero_init(nn.Conv2d(inner, channels, 1)),
        )


def near_zero_init(convolution: nn.Conv2d) -> nn.Conv2d:
    """The convolution with a tenth of its usual initial weights, so that deep stacks start calm."""
    with torch.no_grad():
        convolution.weight.mul_(0.1)
        if convolution.bias is not None:
            convolution.bias.zero_()
    return convolution


def channels_last(x: Tensor) -> Tensor:
    """The same maps with the channels innermost in memory, where a CPU convolves twice as fast."""
    return x.contiguous(memory_format=torch.channels_last)


class MapProjection(nn.Conv2d):
    """A convolution that makes parameters of distributions: their numbers come out last."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, H, W, n)."""
        return super().forward(x).movedim(1, -1)
