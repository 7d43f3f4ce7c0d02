"""Images side by side in one picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from zoo.errors import ConfigError, DataError
from zoo.files import write_atomically

_GAP = 1
_PAPER = 0.5
"""Grey between the images: visible beside black and beside white ones."""


def grid(images: Tensor, columns: int, *, scale: int = 1) -> Image.Image:
    """``images`` (N, C, H, W) in [0, 1] row by row in one picture, C being 1 or 3.

    Values outside [0, 1] are clipped. ``scale`` enlarges each pixel to a square of that side, so
    small images are not blurred. Raises DataError for another shape or for values that are not
    finite, ConfigError for ``columns`` or ``scale`` below 1.

    >>> grid(torch.rand(10, 1, 8, 8), columns=5, scale=2).size
    (92, 38)
    """
    for option, value in (("columns", columns), ("scale", scale)):
        if value < 1:
            raise ConfigError(f"{option} must be at least 1, got {value}")
    _check(images)
    columns = min(columns, len(images))
    missing = -len(images) % columns
    tiles = pad(images.detach().float().cpu().clamp(0, 1), (0, _GAP, 0, _GAP), value=_PAPER)
    blank = torch.full((missing, *tiles.shape[1:]), _PAPER)  # (missing, C, H + 1, W + 1)
    sheet = rearrange(
        torch.cat([tiles, blank]), "(rows columns) c h w -> c (rows h) (columns w)", columns=columns
    )  # (C, rows (H + 1), columns (W + 1))
    sheet = pad(sheet, (_GAP, 0, _GAP, 0), value=_PAPER)
    levels = rearrange((sheet * 255).round().to(torch.uint8), "c h w -> h w c").numpy()
    large = levels.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(np.ascontiguousarray(large.squeeze(-1) if len(sheet) == 1 else large))


def reconstruction_grid(
    originals: Tensor, reconstructions: Tensor, columns: int, *, scale: int = 1
) -> Image.Image:
    """Rows of ``originals``, each row followed by their ``reconstructions``; both (N, C, H, W).

    Raises DataError when the shapes differ, and what :func:`grid` raises.

    >>> x = torch.rand(6, 1, 8, 8)
    >>> reconstruction_grid(x, x, columns=3).size
    (28, 37)
    """
    if originals.shape != reconstructions.shape:
        raise DataError(
            f"originals are {tuple(originals.shape)}, reconstructions "
            f"{tuple(reconstructions.shape)}; they must be the same images"
        )
    _check(originals)
    columns = max(1, min(columns, len(originals)))
    rows = [
        _full_row(part[start : start + columns], columns)
        for start in range(0, len(originals), columns)
        for part in (originals, reconstructions)
    ]
    return grid(torch.cat(rows), columns, scale=scale)


def save_grid(path: str | Path, images: Tensor, columns: int, *, scale: int = 1) -> Path:
    """Write :func:`grid` as a PNG file, whole or not at all; returns its path.

    Its folder is made if need be.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png_bytes(grid(images, columns, scale=scale)))
    return path


def enlargement(images: Tensor) -> int:
    """How much to enlarge images (N, C, H, W) so that small ones can be looked at."""
    return max(1, 56 // int(images.shape[-2]))


def png_bytes(image: Image.Image) -> bytes:
    """The picture as the content of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise DataError(
            "a picture needs images (N, C, H, W) with 1 or 3 channels and N at least 1, "
            f"got {tuple(images.shape)}"
        )
    if not images.isfinite().all():
        raise DataError("the images hold NaN or infinite values; look at the model that made them")


def _full_row(row: Tensor, columns: int) -> Tensor:
    return torch.cat([row, row.new_full((columns - len(row), *row.shape[1:]), _PAPER)])
