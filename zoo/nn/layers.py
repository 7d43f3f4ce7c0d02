"""A network as a list of layers, for programs that are not torch: the decoders in a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Layer:
    """A step from numbers (B, ...) to numbers, by its ``kind``.

    - "scale": times a vector; "linear": W x + b; "relu", "silu", "sigmoid"
    - "maps": numbers (B, N) read as maps of a ``shape`` (C, H, W), or of (H, W, C) where ``last``
    - "conv": a convolution that keeps height and width; "shuffle": torch's PixelShuffle(2)
    - "crop": the top left part of a ``size`` (H, W)
    - "add": x plus what its branch makes of x; "multiply": the product of what its branches make
    """

    kind: str
    weights: tuple[Tensor, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    branches: tuple[list[Layer], ...] = ()

    def changed(self, change: Callable[[Tensor], Tensor]) -> Layer:
        """With every tensor changed, those of branches too."""
        weights = tuple(change(each) for each in self.weights)
        branches = tuple([layer.changed(change) for layer in each] for each in self.branches)
        return Layer(self.kind, weights, self.settings, branches)


@runtime_checkable
class Layered(Protocol):
    """A module that says itself of which layers it is made."""

    def as_layers(self) -> list[Layer]:
        """Raises UnsupportedError where it is more than that."""


RECTIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
}
PLAIN: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.SiLU: "silu", nn.Sigmoid: "sigmoid"}


def layers_of(module: nn.Module) -> list[Layer]:
    """The layers of a module of torch's, or of one that is :class:`Layered`.

    Raises UnsupportedError for any other.

    >>> [layer.kind for layer in layers_of(nn.Sequential(nn.Linear(2, 3), nn.SiLU()))]
    ['linear', 'silu']
    """
    if isinstance(module, Layered):
        return module.as_layers()
    if isinstance(module, nn.Sequential):
        return [layer for part in module for layer in layers_of(part)]
    if type(module) in PLAIN:
        return [Layer(PLAIN[type(module)])]
    if isinstance(module, nn.Linear):
        return [Layer("linear", (module.weight, _bias(module.bias, module.weight)))]
    if isinstance(module, nn.Conv2d) and _keeps_size(module):
        return [Layer("conv", (module.weight, _bias(module.bias, module.weight)))]
    if isinstance(module, nn.PixelShuffle) and module.upscale_factor == 2:
        return [Layer("shuffle")]
    raise UnsupportedError(
        f"{type(module).__name__} is none of the layers that can be run without torch; give it a "
        "method as_layers that says of which it is made (zoo.nn.layers)"
    )


def run(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """What layers make of numbers (B, N).

    >>> run([Layer("scale", (torch.tensor([2.0, 3.0]),)), Layer("relu")], torch.tensor([[1.0, -1]]))
    tensor([[2., 0.]])
    """
    for layer in layers:
        x = _step(layer, x)
    return x


def _step(layer: Layer, x: Tensor) -> Tensor:
    kind, weights, settings = layer.kind, layer.weights, layer.settings
    if kind in ("relu", "silu", "sigmoid"):
        return RECTIFIERS[kind](x)
    if kind == "scale":
        return x * weights[0]
    if kind == "linear":
        return F.linear(x, weights[0], weights[1])
    if kind == "conv":
        return F.conv2d(x, weights[0], weights[1], padding=weights[0].shape[-1] // 2)
    if kind == "maps":
        maps = x.reshape(len(x), *settings["shape"])  # (B, *shape)
        return maps.permute(0, 3, 1, 2) if settings["last"] else maps
    if kind == "shuffle":
        return F.pixel_shuffle(x, 2)
    if kind == "crop":
        height, width = settings["size"]
        return x[..., :height, :width]
    made = [run(branch, x) for branch in layer.branches]
    return x + made[0] if kind == "add" else made[0] * made[1]


def _bias(bias: Tensor | None, weight: Tensor) -> Tensor:
    return weight.new_zeros(len(weight)) if bias is None else bias


def _keeps_size(conv: nn.Conv2d) -> bool:
    """Whether height and width stay, and every map is read for every other."""
    side = conv.kernel_size[0]
    same = conv.kernel_size == (side, side) and conv.padding == (side // 2, side // 2)
    plain = conv.stride == (1, 1) and conv.dilation == (1, 1) and conv.groups == 1
    return side % 2 == 1 and same and plain and conv.padding_mode == "zeros"
