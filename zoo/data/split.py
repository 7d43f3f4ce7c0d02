"""Images in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.data.binarise import binarise
from zoo.data.examples import Examples
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.likelihoods.base import InputKind

LEVELS = 255
"""The brightest of 8-bit grey levels."""
_LEVELS = torch.tensor(255, dtype=torch.float32, device="cpu")
"""The same for bytes: what they are divided by decides their type, whatever torch's default."""


class Split(Examples):
    """Images (N, C, H, W): uint8 grey levels 0..255, or float32 in [0, 1].

    >>> split = Split(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1))
    >>> split.batch(torch.tensor([2, 1]), kind="unit").x.flatten()
    tensor([1.0000, 0.2000])
    """

    modality = "images"

    def __post_init__(self) -> None:
        if self.rows.dtype not in (torch.uint8, torch.float32) or self.rows.ndim != 4:
            raise DataError(
                "images must be uint8 or float32 of shape (N, C, H, W), "
                f"got {self.rows.dtype} of shape {tuple(self.rows.shape)}"
            )
        super().__post_init__()

    @property
    def images(self) -> Tensor:
        """The rows, (N, C, H, W)."""
        return self.rows

    def prepared(
        self, rows: Tensor, kind: InputKind, generator: torch.Generator | None = None
    ) -> Tensor:
        """Images (B, C, H, W) as float32 in [0, 1].

        ``"real"`` is the intensities, ``"unit"`` the nearest of 256 levels, k / 255; ``"binary"``
        draws every pixel from Bernoulli(intensity), anew on each call.
        """
        if kind == "binary":
            return binarise(rows, generator)
        if rows.dtype == torch.uint8:
            return rows / _LEVELS
        return rows if kind == "real" else (rows * LEVELS).round() / LEVELS

    def binarized(self, seed: int) -> Split:
        """A split of pixels in {0, 255}, drawn once from Bernoulli(intensity).

        Drawn on the CPU, so a seed means the same images on every device; equal intensities give
        equal draws whether they are held as levels or as floats. A pixel that is 0 or 255 keeps its
        value in every later draw: such a split is the same however it is read.

        >>> grey = Split(torch.full((1, 1, 2, 2), 128, dtype=torch.uint8))
        >>> bool((grey.binarized(7).images == grey.binarized(7).binarized(8).images).all())
        True
        """
        generator = torch.Generator("cpu").manual_seed(seed)
        drawn = binarise(self.rows.cpu(), generator).to(torch.uint8).mul_(LEVELS)
        return replace(self, rows=drawn.to(self.rows.device))

    def fixed(self, kind: InputKind, seed: int) -> Split:
        """The very pixels a model is measured on: binarised once, or 8-bit levels, or as they are.

        Which of them depends on what the model reads.
        """
        if kind == "binary":
            return self.binarized(seed)
        if kind == "real" or self.rows.dtype == torch.uint8:
            return self
        return replace(self, rows=(self.rows * LEVELS).round().to(torch.uint8))
