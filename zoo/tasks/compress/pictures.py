"""Formats of pictures without loss: PNG, and WebP (RFC 9649)."""

from __future__ import annotations

import io
from typing import Any, Literal, cast

import numpy as np

from zoo.errors import UnsupportedError
from zoo.settings import Settings
from zoo.tasks.compress.rivals import Rival
from zoo.tasks.compress.stack import Array

TALLEST = 16_000
"""Rows of a picture; more images make several. WebP has at most 16,383."""


class Pictures(Rival):
    """Images one below the other in as few pictures as may be; binary ones of 1 bit a pixel in PNG.

    A picture of all of them: the header of one for each would be most of it.

    >>> Pictures(Pictures.Config(form="png")).size(np.zeros((100, 1, 8, 8), np.uint8), 1) < 200
    True
    """

    class Config(Settings):
        """Which of them."""

        form: Literal["png", "webp"] = "png"

    def size(self, symbols: Array, highest: int) -> int:
        """Raises UnsupportedError for what are no images of 1 or 3 channels."""
        if symbols.ndim != 4 or symbols.shape[1] not in (1, 3):
            raise UnsupportedError(
                f"pictures are made of images (N, 1 or 3, H, W), got {symbols.shape}; choose 'xz'"
            )
        height, width = symbols.shape[2:]
        levels = (symbols * (255 // highest)).transpose(0, 2, 3, 1)  # (N, H, W, C)
        rows = levels.reshape(-1, width, *{1: (), 3: (3,)}[symbols.shape[1]])  # (N H, W[, 3])
        most = max(1, TALLEST // height) * height
        parts = np.split(rows, range(most, len(rows), most))
        return sum(self._size(part, highest) for part in parts)

    def _size(self, rows: Array, highest: int) -> int:
        from PIL import Image

        form, buffer = cast("Pictures.Config", self.config).form, io.BytesIO()
        image = Image.fromarray(rows)
        options: dict[str, Any] = {"optimize": True}
        if form == "webp":
            options = {"lossless": True, "quality": 100, "method": 6}
        elif highest == 1:
            image = image.convert("1")
        image.save(buffer, form, **options)
        return buffer.tell()
