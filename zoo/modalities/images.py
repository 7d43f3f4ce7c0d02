"""Images of C x H x W pixels in [0, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from zoo.modalities.base import Form, Modality, check_floats
from zoo.modalities.intensities import check_intensities

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from zoo.likelihoods.base import InputKind


class Images(Modality):
    """Images (B, C, H, W).

    >>> import torch
    >>> Images((1, 2, 2)).check(torch.full((1, 1, 2, 2), 0.5), "binary")
    Traceback (most recent call last):
    zoo.errors.DataError: pixels must be 0 or 1, got 0.5; draw them with ...
    """

    name, parts, in_bits = "images", "pixels", True
    suffixes = (".png", *Modality.suffixes)

    @classmethod
    def fits(cls, shape: tuple[int, ...], form: Form) -> bool:
        return form is None and len(shape) == 3

    def check_form(self, x: Tensor) -> None:
        check_floats(x, self.shape, "pixels in [0, 1]")

    def check_values(self, x: Tensor, kind: InputKind) -> None:
        check_intensities(x, kind, "pixels")

    def write(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) with intensities beyond [0, 1] cut off."""
        return self.clamped(x)

    def clamped(self, x: Tensor) -> Tensor:
        return x.clamp(0, 1)

    def log(self, writer: SummaryWriter, shown: Any, step: int) -> None:
        writer.add_images("samples", shown, step)

    def describe(self, count: int, kind: InputKind, seed: int, converted: str = "") -> str:
        pixels = f"binarised with seed {seed}" if kind == "binary" else "in [0, 1]"
        return f"{count} examples, {converted}{', ' * bool(converted)}{pixels}"

    def protocol(self, kind: InputKind, split: str, seed: int) -> str:
        if kind == "binary":
            return f"{split} images binarised once with seed {seed}"
        return f"{split} images as intensities in [0, 1], noise seeded with {seed}"
