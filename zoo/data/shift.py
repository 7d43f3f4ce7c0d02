"""Images as they were not in the training: turned, or with noise."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from zoo.data.dataset import Dataset
from zoo.data.examples import Examples
from zoo.data.split import LEVELS
from zoo.errors import DataError

AT_ONCE = 1000
"""Images that are turned at a time."""


def shifted(data: Dataset, split: str, degrees: float, noise: float, seed: int) -> Dataset:
    """A dataset one split of which is turned counter-clockwise, then made noisy; grey levels stay.

    ``noise`` is the standard deviation of what is added to the brightness in [0, 1], which is cut
    off there. Turned images are read bilinearly, and black where nothing was. Raises DataError for
    what are no images.

    >>> import zoo
    >>> digits = zoo.load_dataset("digits")
    >>> turned = shifted(digits, "test", 90, 0, seed=0).test.rows
    >>> torch.equal(turned, digits.test.rows.rot90(1, (2, 3)))
    True
    """
    if not degrees and not noise:
        return data
    examples: Examples = getattr(data, split)
    if examples.modality != "images":
        raise DataError(
            f"{data.name} holds {examples.modality}, and only images are turned or made noisy; "
            "shift them by another dataset"
        )
    levels = examples.rows.float()
    if examples.rows.dtype == torch.uint8:
        levels = levels / LEVELS
    rows = _noisy(_turned(levels, degrees), noise, seed)
    if examples.rows.dtype == torch.uint8:
        rows = (rows * LEVELS).round().to(torch.uint8)
    return replace(data, **{split: replace(examples, rows=rows)})  # type: ignore[arg-type]


def _turned(images: Tensor, degrees: float) -> Tensor:
    """Images (N, C, H, W) about their centre."""
    if not degrees:
        return images
    height, width = images.shape[2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    way = torch.tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])  # (2, 3)
    # where each pixel is read, in coordinates from -1 to 1
    grid = affine_grid(way[None].to(images), [1, *images.shape[1:]], align_corners=False)
    parts = [images[start : start + AT_ONCE] for start in range(0, len(images), AT_ONCE)]
    turned = [
        grid_sample(part, grid.expand(len(part), -1, -1, -1), align_corners=False) for part in parts
    ]
    return torch.cat(turned)


def _noisy(images: Tensor, noise: float, seed: int) -> Tensor:
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = torch.randn(images.shape, generator=generator, device="cpu")
    return (images + noise * drawn.to(images.device)).clamp(0, 1)
