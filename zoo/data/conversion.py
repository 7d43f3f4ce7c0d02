"""Images made those that are asked for: other channels, another size; uint8 stays uint8."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.data.examples import Examples
from zoo.errors import DataError

ImageSize: TypeAlias = int | str | Sequence[int]
"""The side of a square, or height and width: 28, (28, 20), "28x20"."""

CHANNELS = {1: "grey", 3: "RGB"}
MOST_PIXELS = 2**26
"""67 million: more than cameras make, and what a few bytes that announce more would cost."""
LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to grey: ITU-R BT.601."""
LUMA_16 = (19595, 38470, 7471)
"""The same in 16 bits, as Pillow's "L" has them: their sum is 2^16, so grey stays what it is."""
AT_ONCE = 64
"""Images that are mixed at a time, in four times the memory of their bytes."""


class Conversion(NamedTuple):
    """What is asked of images: ``size`` (height, width) and ``channels``, None for as they are.

    Channels are converted first, so that grey is mixed of the pixels that were stored.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None

    @classmethod
    def of(cls, image_size: object = None, image_channels: object = None) -> Conversion:
        """Of the two options as users give them. Raises DataError for what they cannot be.

        >>> Conversion.of("28x20", 1)
        Conversion(size=(28, 20), channels=1)
        """
        return cls(
            None if image_size is None else height_and_width(image_size),
            known_channels(image_channels),
        )

    def completed(self, shape: tuple[int, ...], with_channels: bool) -> Conversion:
        """What makes images those of that shape (C, H, W), where it was not asked for otherwise."""
        channels = shape[0] if with_channels and shape[0] in CHANNELS else None
        return Conversion(self.size or (shape[1], shape[2]), self.channels or channels)

    def keeps(self, shape: tuple[int, ...]) -> bool:
        """Whether images of that shape (C, H, W) stay as they are."""
        return self.channels in (None, shape[0]) and self.size in (None, shape[1:])

    def applied(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) converted. Raises DataError where they would not fit into memory."""
        if self.channels is not None:
            images = with_channels(images, self.channels)
        return images if self.size is None else resize_and_crop(images, *self.size)


AS_STORED = Conversion()
"""Nothing is converted."""


def height_and_width(size: object) -> tuple[int, int]:
    """What an ``image_size`` means. Raises DataError for what is none.

    >>> height_and_width(28), height_and_width([28, 20])
    ((28, 28), (28, 20))
    """
    if isinstance(size, str):
        numbers = [int(part) for part in re.findall(r"\d{1,9}", size)]
        is_size = re.fullmatch(r"\d{1,9}([xX]\d{1,9})?", size.strip()) is not None
    else:
        given = list(size) if isinstance(size, list | tuple) else [size]
        numbers = [number for part in given if (number := _whole(part)) is not None]
        is_size = len(numbers) == len(given) in (1, 2)
    if not is_size:
        raise DataError(
            "image_size must be a whole number, the side of a square, or height and width, as in "
            f"28, (28, 20) or 28x20; got {size!r:.100}"
        )
    if min(numbers) < 1:
        raise DataError(f"image_size must be at least 1, got {size!r:.100}")
    if max(numbers) > MOST_PIXELS:
        raise DataError(f"image_size must be at most {MOST_PIXELS:,}, got {size!r:.100}")
    return numbers[0], numbers[-1]


def stored_size(size: object) -> int | tuple[int, int] | None:
    """The one form in which settings hold an ``image_size``, however it was given.

    >>> stored_size("28"), stored_size((28, 28)), stored_size("28x20")
    (28, 28, (28, 20))
    """
    if size is None:
        return None
    height, width = height_and_width(size)
    return height if height == width else (height, width)


def known_channels(channels: object) -> int | None:
    """What an ``image_channels`` means, None where none is asked for. Raises DataError for others.

    >>> known_channels(3)
    3
    """
    number = None if channels is None else _whole(channels)
    if channels is None or number in CHANNELS:
        return number
    allowed = " or ".join(f"{number} ({name})" for number, name in CHANNELS.items())
    raise DataError(f"image_channels must be {allowed}, got {channels!r:.100}")


def _whole(value: Any) -> int | None:
    """An int, or an integer of numpy's or torch's; None of anything else."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # as torch says of a tensor that is no integer
        return None


def converted(split: Examples, conversion: Conversion) -> Examples:
    """A split of images converted. Raises DataError where that cannot be done."""
    rows, observed = conversion.applied(split.rows), split.observed
    if observed is None:
        return replace(split, rows=rows)
    if rows.shape[2:] != observed.shape[2:]:
        raise DataError(
            "images with missing pixels cannot be resized; leave out image_size, and give them at "
            f"the size that is read, {rows.shape[2]}x{rows.shape[3]}"
        )
    if observed.shape[1] > rows.shape[1]:  # a mixed pixel needs all its colours
        observed = observed.all(1, keepdim=True)  # (N, 1, H, W)
    seen = observed.expand_as(rows).contiguous()
    return replace(split, rows=rows * seen, observed=seen)  # what is missing is 0, also in a mix


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Images (N, C, H, W), grey or RGB, with 1 or 3 channels.

    Grey is repeated; colours are mixed to Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), of uint8
    to the nearest level as Pillow's "L" does, of floats to the nearest float32. Grey that was
    repeated is mixed to itself, bit for bit. Raises DataError for other images.

    >>> with_channels(torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1), 1).item()
    76
    """
    if images.shape[1] not in CHANNELS:
        raise DataError(f"images of {images.shape[1]} channels are neither grey (1) nor RGB (3)")
    if images.shape[1] <= channels:
        return images.expand(-1, channels, -1, -1).contiguous()
    return torch.cat([_luma(some) for some in torch.split(images, AT_ONCE)])


def _luma(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1, H, W) of the same type."""
    if images.dtype == torch.uint8:
        return (_mixed(images.int(), LUMA_16) + 2**15 >> 16).to(torch.uint8)
    # In float64, whose rounding is too small to be seen in float32: r = g = b stays that.
    return _mixed(images.double(), LUMA).to(images.dtype)


def _mixed(images: Tensor, weights: Sequence[float]) -> Tensor:
    red, green, blue = (w * images[:, c : c + 1] for c, w in enumerate(weights))
    return red + green + blue  # (N, 1, H, W)


def resize_and_crop(images: Tensor, height: int, width: int) -> Tensor:
    """Scaled with antialiasing until they just cover ``height`` x ``width``; then its centre.

    Nothing is distorted: for a square the shorter side of images (N, C, H, W) is scaled to its own.
    Raises DataError for images so narrow that their longer side would not fit into memory.

    >>> resize_and_crop(torch.zeros(2, 3, 20, 31, dtype=torch.uint8), 10, 12).shape
    torch.Size([2, 3, 10, 12])
    """
    before = tuple(images.shape[2:])
    scale = max(height / before[0], width / before[1])
    resized = (max(height, round(before[0] * scale)), max(width, round(before[1] * scale)))
    if resized[0] * resized[1] > MOST_PIXELS:
        raise DataError(
            f"images of {before[0]}x{before[1]} pixels (height x width) would have "
            f"{resized[0]}x{resized[1]} before they are cropped to {height}x{width}; cut them "
            "nearer to that shape, or ask for a smaller size"
        )
    if resized != before:
        images = _scaled(images, resized)
    top, left = (resized[0] - height) // 2, (resized[1] - width) // 2
    return images[:, :, top : top + height, left : left + width].contiguous()


def _scaled(images: Tensor, size: tuple[int, int]) -> Tensor:
    # Of uint8 with three channels torch 2.13 cannot make single pixels: there each is an image.
    planes = images.flatten(0, 1).unsqueeze(1) if size == (1, 1) else images
    scaled = interpolate(planes, size=size, mode="bilinear", antialias=True)
    return scaled.view(*images.shape[:2], *size)  # (N, C, *size)


def refuse_other_images(wanted: tuple[int, ...], given: tuple[int, ...], name: str) -> None:
    """Raise DataError for images (C, H, W) that a model does not read, with what mends it."""
    if given == wanted:
        return
    options = mending(wanted, given)
    raise DataError(
        f"the model reads images of shape (C, H, W) = {wanted}, {name} has {given}; choose the "
        f"dataset it was trained on{options and f', or convert the images with {options}'}"
    )


def mending(wanted: tuple[int, ...], given: tuple[int, ...]) -> str:
    """The options that make images of one shape those of another; "" where none do.

    >>> mending((1, 28, 20), (3, 32, 32))
    'image_channels=1 and image_size=(28, 20) (--image-channels 1 --image-size 28x20)'
    >>> mending((1, 8, 8), (3, 8, 8))
    'image_channels=1 (--image-channels 1)'
    """
    options: list[tuple[str, str]] = []
    if wanted[0] != given[0]:
        if wanted[0] not in CHANNELS:
            return ""
        options.append((f"image_channels={wanted[0]}", f"--image-channels {wanted[0]}"))
    if wanted[1:] != given[1:]:
        size = stored_size(wanted[1:])
        word = size if isinstance(size, int) else f"{wanted[1]}x{wanted[2]}"
        options.append((f"image_size={size}", f"--image-size {word}"))
    arguments, words = zip(*options, strict=True)
    return f"{' and '.join(arguments)} ({' '.join(words)})"


def said(wanted: tuple[int, ...], given: tuple[int, ...]) -> str:
    """What was done to images of the shape ``given``, for a description.

    >>> said((3, 12, 12), (1, 8, 8)), said((1, 8, 8), (1, 8, 8))
    ('converted to RGB, resized to 12x12', '')
    """
    done = [] if wanted[0] == given[0] else [f"converted to {CHANNELS.get(wanted[0], wanted[0])}"]
    if wanted[1:] != given[1:]:
        done.append(f"resized to {wanted[1]}x{wanted[2]}")
    return ", ".join(done)
