"""Networks that read an image in the order of its pixels, row by row (PixelCNN)."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad, silu

from zoo.errors import UnsupportedError


class CausalConv2d(nn.Module):
    r"""A convolution (N, in, H, W) to (N, out, H, W) that sees at each place those before it alone.

    Places are in order row by row. It sees ``radius`` rows above, as far to the left and to the
    right, and to the left in its own row; with ``itself`` also the place itself. These are the
    masks A and B of PixelCNN (van den Oord et al. 2016, arXiv:1601.06759). What they would hide is
    the end of a kernel in raster order, so that weights are stored for what is seen alone.

    >>> layer = CausalConv2d(1, 4, radius=2)
    >>> layer.weight.shape, layer(torch.zeros(5, 1, 9, 7)).shape
    (torch.Size([4, 1, 12]), torch.Size([5, 4, 9, 7]))
    """

    def __init__(
        self, in_channels: int, out_channels: int, radius: int, itself: bool = False
    ) -> None:
        super().__init__()
        self.radius, self.size = radius, (radius + 1, 2 * radius + 1)
        self.seen = 2 * radius * (radius + 1) + itself
        bound = (in_channels * self.seen) ** -0.5  # as torch's own convolutions begin
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, self.seen))
        self.bias = nn.Parameter(torch.empty(out_channels))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """All places at once."""
        if not self.radius:  # a linear layer of each place: nothing is padded, nor copied for it
            places = x.movedim(1, -1)  # (N, H, W, in)
            return linear(places, self.weight.flatten(1), self.bias).movedim(-1, 1)
        unseen = math.prod(self.size) - self.seen
        kernel = torch.unflatten(pad(self.weight, (0, unseen)), -1, self.size)  # (out, in, *size)
        return conv2d(pad(x, (self.radius, self.radius, self.radius, 0)), kernel, self.bias)

    def at(self, places: Tensor) -> Tensor:
        """One place, (N, out), of the places that it sees in raster order: (n, N, in)."""
        return linear(places.permute(1, 2, 0).flatten(1), self.weight.flatten(1), self.bias)


class Rows:
    """Of maps that are filled place by place, the last rows: all that a layer still sees."""

    def __init__(self, layer: CausalConv2d, count: int, width: int, like: Tensor) -> None:
        self.radius, self.seen = layer.radius, layer.seen
        shape = (width + 2 * self.radius, count, layer.weight.shape[1])
        self.rows = [like.new_zeros(shape) for _ in range(self.radius + 1)]  # of (W, N, C)

    def at(self, column: int) -> Tensor:
        """The places that the layer sees from one of the last row, (n, N, C)."""
        reach = slice(column, column + 2 * self.radius + 1)
        return torch.cat([row[reach] for row in self.rows])[: self.seen]

    def put(self, column: int, value: Tensor) -> None:
        """Fill a place of the last row with (N, C)."""
        self.rows[-1][column + self.radius] = value

    def advance(self) -> None:
        """Begin another row, in the memory of the oldest: of what stands there nothing is seen."""
        self.rows.append(self.rows.pop(0))


class CausalHead(nn.Module):
    r"""Numbers for each pixel of an image x, of the pixels before it and of maps.

    .. math:: h_0 = maps + A(x), \quad h_l = h_{l-1} + B_l(silu(h_{l-1}))

    with masked convolutions A and B_l, and a linear layer on silu of the last h. ``radii`` says how
    far each of them sees, A first; 0 is a layer that sees its own place alone. Their sum is how far
    the head sees in all. Gates in place of silu would triple what a step of the head costs.
    """

    def __init__(self, channels: int, width: int, radii: Sequence[int], numbers: int) -> None:
        super().__init__()
        first, *others = radii
        self.first = CausalConv2d(channels + 1, width, first)
        self.others = nn.ModuleList(
            CausalConv2d(width, width, radius, itself=True) for radius in others
        )
        self.last = CausalConv2d(width, numbers, 0, itself=True)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        """Images (B, C, H, W) and maps (S, B, width, H, W): numbers (S, B, n, H, W).

        The pixels are read once for all S.
        """
        h = (maps + self.first(_marked(x))).flatten(0, 1)  # (S B, width, H, W)
        for layer in self._layers[1:]:
            h = h + layer(silu(h))
        return torch.unflatten(self.last(silu(h)), 0, maps.shape[:2])

    def grow(self, maps: Tensor, draws: int, pick: Callable[[Tensor], Tensor]) -> Tensor:
        """``draws`` images (N draws, C, H, W) of each of the maps (N, width, H, W), pixel by pixel.

        ``pick`` makes pixels (N draws, C) of their numbers (N draws, n). Raises UnsupportedError
        within torch.export.
        """
        steps = self.steps(maps, draws)
        pixels = pick(next(steps))  # (N draws, C)
        while True:
            try:
                pixels = pick(steps.send(pixels))
            except StopIteration as end:
                grown: Tensor = end.value
                return grown

    def steps(self, maps: Tensor, draws: int = 1) -> Generator[Tensor, Tensor, Tensor]:
        """As :meth:`grow`: yields the numbers of each pixel in turn, and is sent the pixels.

        Each layer keeps the rows that it still sees, so that a pixel costs one place of each and no
        more.
        """
        if torch.compiler.is_exporting():
            raise UnsupportedError(
                f"pixels that follow each other take {maps.shape[-2:].numel()} steps, and an "
                "exported graph would hold each of them; export Encode(model)"
            )
        count, (height, width) = draws * len(maps), maps.shape[-2:]
        caches = [Rows(layer, count, width, maps) for layer in self._layers]
        places = maps.permute(2, 3, 0, 1).contiguous()  # (H, W, N, width)
        pixels = []
        for row, column in product(range(height), range(width)):
            if column == 0:
                for cache in caches:
                    cache.advance()
            place = places[row, column].repeat_interleave(draws, 0)  # (N draws, width)
            pixels.append((yield self._numbers(place, caches, column)))
            caches[0].put(column, _marked(pixels[-1]))
        return torch.unflatten(torch.stack(pixels, dim=-1), -1, (height, width))

    def _numbers(self, place: Tensor, caches: Sequence[Rows], column: int) -> Tensor:
        """(N, n) of the next pixel, whose maps are ``place`` (N, width)."""
        first, *others = zip(self._layers, caches, strict=True)
        h = place + first[0].at(first[1].at(column))
        for layer, cache in others:
            cache.put(column, silu(h))
            h = h + layer.at(cache.at(column))
        return self.last.at(silu(h)[None])

    @property
    def _layers(self) -> list[CausalConv2d]:
        """Those that see the pixels before, or what others made of them."""
        return [self.first, *cast("list[CausalConv2d]", list(self.others))]


def _marked(x: Tensor) -> Tensor:
    """(N, C, ...) with a channel of ones more, which tells black from what lies beyond the edges.

    With two channels or more a CPU convolves twice as fast where they are innermost in memory.
    """
    marked = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    return marked.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else marked
