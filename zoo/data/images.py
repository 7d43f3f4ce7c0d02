"""Decoding and resizing of images, uint8 throughout."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.errors import DataError

GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""More than 8 bits a channel, which Pillow would clip rather than scale."""


def decode(source: Path | BinaryIO, name: str, size: int | None) -> Tensor:
    """One image as uint8 (C, H, W): C is 1 for a greyscale file, else 3; transparency is dropped.

    With ``size``, resized and cropped to a square of it. Raises DataError naming the file
    (``name``) if it cannot be decoded.
    """
    try:
        with Image.open(source) as image:
            if image.mode in DEEP_MODES:
                raise DataError(f"{name} has more than 8 bits a pixel; convert it to 8 bits")
            mode = "L" if image.mode in GREY_MODES else "RGB"
            pixels = np.array(ImageOps.exif_transpose(image).convert(mode))
    # Pillow's decoders raise all of these for damaged files.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} cannot be read as an image: {error}") from error
    tensor = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
    tensor = tensor.contiguous()
    return tensor if size is None else resize_and_crop(tensor.unsqueeze(0), size).squeeze(0)


def resize_and_crop(images: Tensor, size: int) -> Tensor:
    """Shorter side to ``size`` with antialiasing, then the centre square: uint8 (N, C, S, S).

    >>> resize_and_crop(torch.zeros(2, 3, 20, 31, dtype=torch.uint8), 10).shape
    torch.Size([2, 3, 10, 10])
    """
    height, width = images.shape[2:]
    scale = size / min(height, width)
    resized = (max(size, round(height * scale)), max(size, round(width * scale)))
    if resized != (height, width):
        images = interpolate(images, size=resized, mode="bilinear", antialias=True)
    top, left = (resized[0] - size) // 2, (resized[1] - size) // 2
    return images[:, :, top : top + size, left : left + size].contiguous()
